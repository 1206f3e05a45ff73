package profile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Answer is what the profiles say of one pod, one after the other. The zero value says nothing.
type Answer struct {
	// Patch is what changes the pod.
	Patch sdk.Patch

	warnings []string
	denial   *admissionv1.Denial
	later    []func()
}

// Later calls f when every profile has added its containers to the pod: what goes into all containers goes
// into those too, and a second pass over the pod has nothing to add.
func (a *Answer) Later(f func()) { a.later = append(a.later, f) }

// Finish calls what has been left for later, in the same order, unless the pod is denied.
func (a *Answer) Finish() {
	for _, f := range a.later {
		if a.denial == nil {
			f()
		}
	}
	a.later = nil
}

// Report says what is wrong, in the way that policy wants. Of several denials the first counts. A denied
// pod is not changed: whatever else the profile adds to the patch counts for nothing.
func (a *Answer) Report(policy Policy, format string, args ...any) {
	switch {
	case policy != Deny:
		a.Note(policy, format, args...)
	case a.denial == nil:
		a.denial = &admissionv1.Denial{
			Message: fmt.Sprintf(format, args...),
			Reason:  string(metav1.StatusReasonBadRequest),
			Code:    http.StatusBadRequest,
		}
	}
}

// Invalid is the value of an annotation that cannot be used.
type Invalid struct {
	// Annotation is the whole key.
	Annotation string
	// Value is what it has, and Owner is whose it is: "pod", "ServiceAccount".
	Value, Owner string
	// Want is what it should be, such as "a number of seconds".
	Want string
	// Instead is what becomes of a pod that is let in, such as "ignored".
	Instead string
}

// Invalid reports a value. A warning also says what becomes of it, and has the annotation's whole key if there
// is room.
func (a *Answer) Invalid(policy Policy, v Invalid) {
	if policy == Deny {
		a.Report(policy, "%s %q of the %s is not %s", v.Annotation, middled(v.Value, 200), v.Owner, v.Want)
		return
	}
	rest := fmt.Sprintf("%q of the %s is not %s; %s", middled(v.Value, 24), v.Owner, v.Want, v.Instead)
	key := v.Annotation
	if len(key)+len(" ")+len(rest) > maxWarning {
		key = shortKey(key)
	}
	a.Note(policy, "%s %s", key, rest)
}

// shortKey is an annotation's key without its prefix.
func shortKey(key string) string { return key[strings.IndexByte(key, '/')+1:] }

// middled leaves out the middle of a long text: what is wrong may be at its end.
func middled(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	// What is no character, and may come as it is, has no beginning to cut at.
	if text = strings.ToValidUTF8(text, "\uFFFD"); len(text) <= limit {
		return text
	}
	half := (limit - len("…")) / 2
	left, right := half, len(text)-half
	for !utf8.RuneStart(text[left]) {
		left--
	}
	for !utf8.RuneStart(text[right]) {
		right++
	}
	return text[:left] + "…" + text[right:]
}

// Note says what the pod's author should know and what is never worth a denial, unless policy is Allow.
func (a *Answer) Note(policy Policy, format string, args ...any) {
	if policy == Allow {
		return
	}
	if warning := shortened(fmt.Sprintf(format, args...)); !slices.Contains(a.warnings, warning) {
		a.warnings = append(a.warnings, warning)
	}
}

// NoteTooLong says that a life, in seconds, is longer than kube-apiserver lets a token have.
func (a *Answer) NoteTooLong(policy Policy, seconds int64) {
	if seconds > MaxExpiration {
		a.Note(policy, "token-expiration %d is too long; kube-apiserver refuses more than %d", seconds, int64(MaxExpiration))
	}
}

// Missing reports that the pod's ServiceAccount does not exist, so that the pod does not get what it might have
// had, such as "AWS identity".
func (a *Answer) Missing(policy Policy, name, what string) {
	if policy == Deny {
		a.Report(policy, "ServiceAccount %q not found", name)
		return
	}
	if len(name) > 40 {
		name = name[:40] + "..." // a name may have 253 bytes, and the words after it matter
	}
	a.Note(policy, "ServiceAccount %q not found; the pod got no %s", name, what)
}

// Denied tells whether a profile has denied the pod.
func (a *Answer) Denied() bool { return a.denial != nil }

// Mutation is the answer to the request for admission; nil where there is nothing to say.
func (a *Answer) Mutation() *sdk.Mutation {
	if a.Patch.Empty() && a.denial == nil && len(a.warnings) == 0 {
		return nil
	}
	return &sdk.Mutation{Patch: a.Patch, Denial: a.denial, Warnings: a.warnings}
}

// maxWarning is how many bytes of a warning kubectl and kube-apiserver treat kindly.
const maxWarning = 120

func shortened(text string) string {
	if len(text) <= maxWarning {
		return text
	}
	cut := maxWarning - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
