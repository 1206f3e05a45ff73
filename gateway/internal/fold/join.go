package fold

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/outcome"
)

// Join makes the one answer of all the parts. A refusal is certain whatever failed beside it, so it goes
// before failures; with neither, the changes are concatenated in the order of the parts. The error is
// that of the first required backend that failed, and names all of them.
func Join(uid string, parts []*Part) (*gatewayv1.Review, error) {
	review := &gatewayv1.Review{Uid: uid, Allowed: true, Warnings: joinWarnings(parts), AuditAnnotations: joinAudit(parts)}
	if review.Status = joinDenials(parts); review.Status != nil {
		review.Allowed = false
		return review, nil
	}
	if err := joinFailures(parts); err != nil {
		return nil, err
	}
	for _, part := range parts {
		review.Operations = append(review.Operations, part.Ops...)
	}
	if changes := Changes(parts); changes != "" {
		if review.AuditAnnotations == nil {
			review.AuditAnnotations = map[string]string{}
		}
		review.AuditAnnotations["changes"] = changes
	}
	return review, nil
}

func joinFailures(parts []*Part) error {
	var first *outcome.Error
	var texts []string
	for _, part := range parts {
		if part.Outcome != gatewayv1.Outcome_OUTCOME_FAILED {
			continue
		}
		if first == nil {
			first = part.Failure
		}
		texts = append(texts, fmt.Sprintf("gatefold backend %q failed: %s", part.Backend, part.Failure))
	}
	if first == nil {
		return nil
	}
	return &outcome.Error{Cause: first.Cause, Err: errors.New(strings.Join(texts, "; ")), OfBackends: true}
}

// joinDenials returns nil when nobody refused. Code and reason are those of the first refusal.
func joinDenials(parts []*Part) *gatewayv1.Status {
	var status *gatewayv1.Status
	var texts []string
	for _, part := range parts {
		for _, denial := range part.Denials {
			if status == nil {
				status = &gatewayv1.Status{Code: denial.GetCode(), Reason: denial.GetReason()}
			}
			texts = append(texts, part.Backend+": "+denial.GetMessage())
			status.Causes = append(status.Causes, causes(part.Backend, denial)...)
		}
	}
	if status == nil {
		return nil
	}
	// kube-apiserver raises a code below 400 to 400, and a reason it does not get to Unknown
	// (k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go).
	if status.Code < 400 || status.Code > 599 {
		status.Code = http.StatusForbidden
	}
	if status.Reason == "" {
		status.Reason = string(metav1.StatusReasonForbidden)
	}
	status.Message = texts[0]
	if len(texts) > 1 {
		status.Message = fmt.Sprintf("%d reasons:\n- %s", len(texts), strings.Join(texts, "\n- "))
	}
	return status
}

// causes are a denial's own, or the denial itself as one, so that a machine finds every reason in a list.
func causes(backend string, denial *admissionv1.Denial) []*admissionv1.Cause {
	if len(denial.GetCauses()) > 0 {
		return denial.GetCauses()
	}
	return []*admissionv1.Cause{{Reason: denial.GetReason(), Message: backend + ": " + denial.GetMessage()}}
}

// joinWarnings returns every warning once, each with the name of the backend that gave it, and one for
// each backend that failed and was ignored.
func joinWarnings(parts []*Part) []string {
	var out []string
	seen := map[string]bool{}
	add := func(text string) {
		if text = printable(text); !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	for _, part := range parts {
		if part.Outcome == gatewayv1.Outcome_OUTCOME_IGNORED {
			add(fmt.Sprintf("gatefold backend %q failed and was ignored: %s", part.Backend, part.Failure))
		}
		for _, warning := range part.Warnings {
			add(part.Backend + ": " + warning)
		}
	}
	return out
}

// printable replaces control characters: kube-apiserver drops a warning that has one without a word
// (apimachinery/pkg/util/net, NewWarningHeader).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// joinAudit puts the backend's name before each key. kube-apiserver adds the webhook's own name and a
// slash before that, and drops what is then no qualified name (k8s.io/apiserver/pkg/admission,
// checkKeyFormat), so a slash in a key becomes an underscore and what is still none is left out.
func joinAudit(parts []*Part) map[string]string {
	var out map[string]string
	for _, part := range parts {
		for _, key := range slices.Sorted(maps.Keys(part.Audit)) { // of two keys that become one the same wins each time
			value := part.Audit[key]
			key = part.Backend + "." + strings.ReplaceAll(key, "/", "_")
			if len(validation.IsQualifiedName(key)) > 0 {
				continue
			}
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}
