// Package exit holds the exit codes of the command line.
package exit

// The exit codes. 0 is success.
const (
	// Denied means that an object was refused; of a run of tests, that a case failed.
	Denied = 1
	// Failure means that a command that serves could not go on. It shares its number with Denied, which
	// only review and test use.
	Failure = 1
	// Usage means that the command line, the configuration or a manifest cannot be understood.
	Usage = 2
	// Unanswered means that a required backend failed, so that there is no verdict about an object.
	Unanswered = 3
	// Interrupted means that it was told to stop before it had an answer. It is what a shell tells of a program
	// that died of SIGINT. A server that drains has done what it should.
	Interrupted = 128 + 2
	// Pipe means that nobody reads standard output any more. It is what a shell tells of a program that
	// died of SIGPIPE.
	Pipe = 128 + 13
)

// Error ends the program with a code. A nil Err ends it without a word: everything has been said.
type Error struct {
	Code int
	Err  error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// UsageError returns err with code Usage, or nil when err is nil.
func UsageError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: Usage, Err: err}
}
