package pod_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/sdk"
)

// TestSetInitContainerLeavesWhatHasAllOfIt tells what others add to a container from what makes it another.
func TestSetInitContainerLeavesWhatHasAllOfIt(t *testing.T) {
	wants := corev1.Container{
		Name:         "i",
		Command:      []string{"sh", "-c"},
		Env:          []corev1.EnvVar{{Name: "A"}, {Name: "B", Value: "1"}},
		VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/m"}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	for name, tc := range map[string]struct {
		container string
		stays     bool
	}{
		"the same, without the empty resources": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, true},
		"defaults, and what others add": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"value":"1","name":"B"},{"name":"C"}],"imagePullPolicy":"Always",
			"volumeMounts":[{"name":"v","mountPath":"/m"},{"name":"api","mountPath":"/x"}],"resources":{"limits":{"cpu":"1"}},
			"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, true},
		"another command": {`{"name":"i","command":["sh","-c","x"],"env":[{"name":"A"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"a value where there was none": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A","value":"x"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"a variable before the others": {`{"name":"i","command":["sh","-c"],"env":[{"name":"C"},{"name":"A"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"a variable once more": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"name":"B","value":"1"},{"name":"B","value":"2"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"arguments": {`{"name":"i","command":["sh","-c"],"args":["x"],"env":[{"name":"A"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"capabilities": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"name":"B","value":"1"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"],"add":["SYS_ADMIN"]}}}`, false},
		"a variable less": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"}],
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
		"no security context": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"name":"B","value":"1"}],"volumeMounts":[{"name":"v","mountPath":"/m"}]}`, false},
		"resources of a strange kind": {`{"name":"i","command":["sh","-c"],"env":[{"name":"A"},{"name":"B","value":"1"}],"resources":"x",
			"volumeMounts":[{"name":"v","mountPath":"/m"}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var patch sdk.Patch
			open(t, `{"spec":{"initContainers":[`+tc.container+`]}}`).SetInitContainer(&patch, wants)
			if patch.Empty() != tc.stays {
				t.Errorf("the container stays: %v, want %v", patch.Empty(), tc.stays)
			}
		})
	}
}
