package e2e

import "testing"

// TestSystem starts everything once and then asks it one thing after another, over HTTP/2 (what
// kube-apiserver speaks with a webhook that it knows by a loopback URL) and over HTTP/1.1 (what it
// speaks with a Service).
func TestSystem(t *testing.T) {
	w := newWorld(t)
	w.installWidgets(t)
	checks := []struct {
		name  string
		check func(*testing.T, *world, *gate)
	}{
		{"a pod gets its identity and its labels", testInjection},
		{"a pod gets the same through v1beta1", testInjectionV1beta1},
		{"the audit log says who changed what", testAudit},
		{"a pod that breaks two policies is told both", testDenial},
		{"an optional backend that is down is a warning", testOptionalBackendDown},
		{"a required mutator that is down is an error", testRequiredMutatorDown},
		{"a required validator that is down is an error", testRequiredValidatorDown},
		{"a service without ready endpoints is an error that says so", testUnreadyService},
		{"an error falls under the failure policy of the registration", testErrorUnderIgnore},
		{"a custom resource keeps every value", testBytes},
		{"a patch that cannot be meant is its backend's failure", testRoguePatch},
		{"one trace joins everybody", testTrace},
		{"a stranger is refused", testClientAuth},
		{"bad input has a clear answer", testBadInput},
	}
	t.Run("a wrong configuration is explained", func(t *testing.T) { testConfigErrors(t, w) })
	t.Run("a crash of a mutator is an error and is over when it is back", func(t *testing.T) { testCrash(t, w) })
	t.Run("a rollout loses nothing", func(t *testing.T) { testRollout(t, w) })
	t.Run("of a thousand pods none goes without its identity", func(t *testing.T) { testManyIdentities(t, w, w.gates["http2"]) })
	t.Run("a pod waits for its ServiceAccount", func(t *testing.T) { testLateServiceAccounts(t, w, w.gates["http1"]) })
	t.Run("a ConfigMap gives roles", func(t *testing.T) { testRoleConfigMap(t, w, w.gates["http1"]) })
	t.Run("other people's webhooks do behind the gate what they do alone", func(t *testing.T) { testThirdParty(t, w) })
	t.Run("images are reviewed for the ImagePolicyWebhook plugin", func(t *testing.T) { testImages(t, w) })
	for protocol, g := range w.gates {
		t.Run(protocol, func(t *testing.T) {
			for _, c := range checks {
				t.Run(c.name, func(t *testing.T) { c.check(t, w, g) })
			}
		})
	}
}
