package sdk

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// A proto3 string is UTF-8 (protobuf.dev/programming-guides/proto3, scalar value types), and one that is not
// makes the whole answer fail to marshal: a denial would be lost for the sake of a byte in its message.
// The functions below replace what is not UTF-8 by U+FFFD, and leave alone what the handler may share
// between calls.

func validString(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

func validStrings(list []string) []string {
	valid := make([]string, len(list))
	for i, s := range list {
		valid[i] = validString(s)
	}
	return valid
}

func validMap(m map[string]string) map[string]string {
	valid := make(map[string]string, len(m))
	for key, value := range m {
		valid[validString(key)] = validString(value)
	}
	return valid
}

func validDenials(list []*admissionv1.Denial) []*admissionv1.Denial {
	valid := make([]*admissionv1.Denial, len(list))
	for i, d := range list {
		valid[i] = validDenial(d)
	}
	return valid
}

func validDenial(d *admissionv1.Denial) *admissionv1.Denial {
	valid := &admissionv1.Denial{} // also for nil: an entry without words still denies
	proto.Merge(valid, d)
	valid.Message, valid.Reason = validString(valid.GetMessage()), validString(valid.GetReason())
	for _, c := range valid.GetCauses() {
		c.Reason, c.Message, c.Field = validString(c.GetReason()), validString(c.GetMessage()), validString(c.GetField())
	}
	return valid
}

// validOperations makes new ones only of those with a bad pointer: a patch may be long.
func validOperations(list []*admissionv1.PatchOperation) []*admissionv1.PatchOperation {
	valid := make([]*admissionv1.PatchOperation, len(list))
	for i, op := range list {
		if !utf8.ValidString(op.GetPath()) || !utf8.ValidString(op.GetFrom()) {
			op = &admissionv1.PatchOperation{
				Op: op.GetOp(), Path: validString(op.GetPath()), From: validString(op.GetFrom()), Value: op.GetValue(),
			}
		}
		valid[i] = op
	}
	return valid
}
