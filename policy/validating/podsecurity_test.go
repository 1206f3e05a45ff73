package validating

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// podSecurityLevels are those that have a shipped policy.
var podSecurityLevels = []podsecurity.Level{podsecurity.LevelBaseline, podsecurity.LevelRestricted}

// podSecurity holds the shipped policies of the Pod Security Standards against upstream's own checks.
type podSecurity struct {
	upstream policy.Evaluator
	sets     map[podsecurity.Level]*Set
}

func newPodSecurity(tb testing.TB) *podSecurity {
	tb.Helper()
	upstream, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	p := &podSecurity{upstream: upstream, sets: map[podsecurity.Level]*Set{}}
	for _, level := range podSecurityLevels {
		if p.sets[level], err = Load([]string{filepath.Join(library, "pod-security-"+string(level)+".yaml")}); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

// check compares the verdicts on a pod that comes into being, in a template as well as by itself, and says
// how they were.
func (p *podSecurity) check(t *testing.T, pod *corev1.Pod, r *rand.Rand) (denied map[podsecurity.Level]bool) {
	t.Helper()
	denied = map[podsecurity.Level]bool{}
	for _, level := range podSecurityLevels {
		want := ""
		version := podsecurity.LevelVersion{Level: level, Version: podsecurity.LatestVersion()}
		result := policy.AggregateCheckResults(p.upstream.EvaluatePod(version, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			want = "violates PodSecurity \"" + version.String() + "\": " + result.ForbiddenDetail()
		}
		denied[level] = !result.Allowed
		object := inKind(pod, r.IntN(7))
		if diff := cmp.Diff(want, p.ask(t, level, object, nil)); diff != "" {
			t.Errorf("%s of %s (-upstream +here):\n%s", level, encoded(t, object), diff)
		}
		// What was there stays, and nothing that upstream lets pass is refused because of how it was before.
		if got := p.ask(t, level, object, object); got != "" {
			t.Errorf("%s without a change, of %s: %s", level, encoded(t, object), got)
		}
		if old := inKind(randomPod(r), 0); result.Allowed {
			if got := p.ask(t, level, inKind(pod, 0), old); got != "" {
				t.Errorf("%s from %s to %s: %s", level, encoded(t, old), encoded(t, pod), got)
			}
		}
	}
	return denied
}

// ask returns what the shipped policy says, "" when it allows the object.
func (p *podSecurity) ask(t *testing.T, level podsecurity.Level, object, old runtime.Object) string {
	t.Helper()
	kind := object.GetObjectKind().GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	q := &admissionv1.AdmissionRequest{
		Kind:            &admissionv1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind},
		Resource:        &admissionv1.GroupVersionResource{Group: resource.Group, Version: resource.Version, Resource: resource.Resource},
		Namespace:       "shop",
		NamespaceObject: &admissionv1.Namespace{Name: "shop", Labels: map[string]string{podsecurity.EnforceLevelLabel: string(level)}},
		Operation:       admissionv1.Operation_OPERATION_CREATE,
		Object:          encoded(t, object),
	}
	if old != nil {
		q.Operation, q.OldObject = admissionv1.Operation_OPERATION_UPDATE, encoded(t, old)
	}
	verdict, err := p.sets[level].Validate(t.Context(), &sdk.Request{AdmissionRequest: q}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdict.Denials) == 0 {
		return ""
	}
	_, message, ok := strings.Cut(verdict.Denials[0].Message, "' denied request: ")
	if len(verdict.Denials) != 1 || !ok {
		t.Fatalf("want one denial with upstream's words in front, got %v", verdict.Denials)
	}
	return message
}

func encoded(t *testing.T, object runtime.Object) []byte {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// inKind returns the pod, or the i-th kind of those that make such pods.
func inKind(pod *corev1.Pod, i int) runtime.Object {
	template := corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	named := metav1.ObjectMeta{Name: "web", Namespace: "shop"}
	kind := func(group, name string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: group + "/v1", Kind: name}
	}
	switch i {
	case 1:
		return &appsv1.Deployment{TypeMeta: kind("apps", "Deployment"), ObjectMeta: named, Spec: appsv1.DeploymentSpec{Template: template}}
	case 2:
		return &appsv1.StatefulSet{TypeMeta: kind("apps", "StatefulSet"), ObjectMeta: named, Spec: appsv1.StatefulSetSpec{Template: template}}
	case 3:
		return &appsv1.DaemonSet{TypeMeta: kind("apps", "DaemonSet"), ObjectMeta: named, Spec: appsv1.DaemonSetSpec{Template: template}}
	case 4:
		return &appsv1.ReplicaSet{TypeMeta: kind("apps", "ReplicaSet"), ObjectMeta: named, Spec: appsv1.ReplicaSetSpec{Template: template}}
	case 5:
		return &batchv1.Job{TypeMeta: kind("batch", "Job"), ObjectMeta: named, Spec: batchv1.JobSpec{Template: template}}
	case 6:
		return &batchv1.CronJob{TypeMeta: kind("batch", "CronJob"), ObjectMeta: named, Spec: batchv1.CronJobSpec{
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}},
		}}
	default:
		return pod
	}
}

// TestPodSecurity: on random pods the shipped policies say word for word what upstream's checks say.
func TestPodSecurity(t *testing.T) {
	p := newPodSecurity(t)
	const pods = 200
	seen := map[podsecurity.Level]int{}
	for seed := range uint64(pods) {
		r := rand.New(rand.NewPCG(seed, 0))
		for level, denied := range p.check(t, randomPod(r), r) {
			if denied {
				seen[level]++
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, level := range podSecurityLevels {
		if n := seen[level]; n < pods/5 || n > pods*4/5 {
			t.Errorf("%s: %d of %d pods are denied: the generator proves too little", level, n, pods)
		}
	}
}

// FuzzPodSecurity is the same without an end.
func FuzzPodSecurity(f *testing.F) {
	p := newPodSecurity(f)
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		p.check(t, randomPod(r), r)
	})
}
