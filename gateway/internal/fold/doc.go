// Package fold makes one answer of many: it checks what each mutator wants to change, applies it, and
// joins the verdicts. It knows nothing of networks or time.
//
// kube-apiserver applies the patch with gopkg.in/evanphx/json-patch.v4, and a patch that does not apply
// there is an error for the user whatever the failure policy
// (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go). So what Document accepts is
// narrower than what that library accepts, and where both accept, they agree; a fuzz target holds
// them against each other.
package fold
