package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	kjson "sigs.k8s.io/json"
)

// TestDiffProperty is the promise of Mutation.Object: whatever the pod and whatever the edit, the patched
// object decodes to what the author made of it, and what the Go type does not know is still there.
func TestDiffProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		raw := injected(rt, encode(t, anyPod(rt)))
		var pod corev1.Pod
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &pod); err != nil {
			rt.Fatal(err)
		}
		unchanged, err := diff(raw, &pod)
		if err != nil || len(unchanged) != 0 {
			rt.Fatalf("unchanged, yet %s, %v", describe(unchanged), err)
		}
		for range rapid.IntRange(0, 6).Draw(rt, "edits") {
			edit(rt, &pod)
		}
		want := encode(t, pod)

		ops, err := diff(raw, &pod)
		if err != nil {
			rt.Fatal(err)
		}
		out := apply(t, raw, ops)

		var got corev1.Pod
		if err := kjson.UnmarshalCaseSensitivePreserveInts(out, &got); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, encode(t, got)); d != "" {
			rt.Errorf("patch of %s:\n%s(-want +got):\n%s", raw, describe(ops), d)
		}

		before, after, surviving := map[string]string{}, map[string]string{}, map[string]string{}
		unknown("", raw, before)
		unknown("", out, after)
		unknown("", []byte(want), surviving)
		for place, value := range before {
			if _, ok := surviving[place]; ok && value != "" && after[place] != value {
				rt.Errorf("%s: unknown field was %s, is %q; patch of %s:\n%s", place, value, after[place], raw, describe(ops))
			}
		}
	})
}

const future = "future" // no Go type of a pod has this field

// structs are the places of a pod that are objects of a fixed shape, by the member they stand in. Others,
// such as labels, know every key.
func isStruct(member string) bool {
	return slices.Contains([]string{
		"", "metadata", "spec", "containers", "initContainers", "volumes", "env", "volumeMounts", "ports",
		"resources", "securityContext", "valueFrom", "fieldRef", "projected", "emptyDir",
	}, member)
}

// injected adds unknown fields to the structs of an object, each with a value that a typed decoder would
// lose or rewrite, and nulls in the place of absent fields.
func injected(t *rapid.T, object string) []byte {
	traps := rapid.SampledFrom([]string{"1.0", "-0.0", "9007199254740993", "92233720368547758070", `{"a":[1.0,null],"B":{}}`, "[]", "1e400"})
	n := 0
	var walk func(member string, raw json.RawMessage) json.RawMessage
	walk = func(member string, raw json.RawMessage) json.RawMessage {
		var m map[string]json.RawMessage
		var l []json.RawMessage
		switch {
		case isObject(raw) && json.Unmarshal(raw, &m) == nil:
			for _, key := range keys(m, nil) {
				m[key] = walk(key, m[key])
			}
			if isStruct(member) && rapid.Bool().Draw(t, "inject") {
				n++
				m[future] = json.RawMessage(fmt.Sprintf("[%d,%s]", n, traps.Draw(t, "trap")))
			}
			for _, absent := range []string{"nodeName", "labels", "env", "volumes", "image", "resources"} {
				if _, ok := m[absent]; !ok && isStruct(member) && rapid.IntRange(0, 9).Draw(t, "null") == 0 {
					m[absent] = json.RawMessage("null")
				}
			}
			return pieces(m)
		case isList(raw) && json.Unmarshal(raw, &l) == nil:
			for i := range l {
				l[i] = walk(member, l[i])
			}
			return append(append([]byte("["), bytes.Join(asBytes(l), []byte(", "))...), ']')
		default:
			return raw
		}
	}
	return walk("", json.RawMessage(object))
}

// pieces joins members with white space and without json.Marshal, which would escape what is inside.
func pieces(m map[string]json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteString("{ ")
	for i, key := range keys(m, nil) {
		if i > 0 {
			b.WriteString(" ,\n")
		}
		name, _ := json.Marshal(key)
		fmt.Fprintf(&b, "%s : %s", name, m[key])
	}
	b.WriteString("}")
	return b.Bytes()
}

func asBytes(l []json.RawMessage) [][]byte {
	out := make([][]byte, len(l))
	for i := range l {
		out[i] = l[i]
	}
	return out
}

// unknown collects the unknown field of each object, or "", by a place that does not move when lists do.
func unknown(place string, raw json.RawMessage, into map[string]string) {
	var m map[string]json.RawMessage
	var l []json.RawMessage
	switch {
	case isObject(raw) && json.Unmarshal(raw, &m) == nil:
		into[place] = ""
		if value, ok := m[future]; ok {
			var compact bytes.Buffer
			_ = json.Compact(&compact, value)
			into[place] = compact.String()
		}
		for key, value := range m {
			if key != future {
				unknown(place+"/"+key, value, into)
			}
		}
	case isList(raw) && json.Unmarshal(raw, &l) == nil:
		for _, item := range l {
			var id struct{ MountPath, Name string }
			if isObject(item) && json.Unmarshal(item, &id) == nil {
				unknown(fmt.Sprintf("%s[%s %s]", place, id.MountPath, id.Name), item, into)
			}
		}
	}
}

func names(prefix string) *rapid.Generator[string] {
	return rapid.Map(rapid.IntRange(0, 9), func(i int) string { return fmt.Sprint(prefix, i) })
}

func anyPod(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	pod.Name = "p"
	pod.Labels = rapid.MapOfN(names("l/~"), names("v"), 0, 3).Draw(t, "labels")
	pod.Spec.Containers = rapid.SliceOfNDistinct(rapid.Custom(anyContainer), 0, 4, func(c corev1.Container) string { return c.Name }).Draw(t, "containers")
	pod.Spec.InitContainers = rapid.SliceOfNDistinct(rapid.Custom(anyContainer), 0, 2, func(c corev1.Container) string { return c.Name }).Draw(t, "init")
	pod.Spec.Volumes = rapid.SliceOfNDistinct(rapid.Custom(anyVolume), 0, 4, func(v corev1.Volume) string { return v.Name }).Draw(t, "volumes")
	pod.Spec.Tolerations = rapid.SliceOfN(rapid.Custom(anyToleration), 0, 3).Draw(t, "tolerations")
	return pod
}

func anyContainer(t *rapid.T) corev1.Container {
	c := corev1.Container{Name: names("c").Draw(t, "name"), Image: names("i").Draw(t, "image")}
	c.Args = rapid.SliceOfN(names("a"), 0, 4).Draw(t, "args")
	c.Env = rapid.SliceOfNDistinct(rapid.Custom(anyEnv), 0, 4, func(e corev1.EnvVar) string { return e.Name }).Draw(t, "env")
	c.VolumeMounts = rapid.SliceOfNDistinct(rapid.Custom(anyMount), 0, 4, func(m corev1.VolumeMount) string { return m.MountPath }).Draw(t, "mounts")
	if rapid.Bool().Draw(t, "secure") {
		c.SecurityContext = &corev1.SecurityContext{RunAsUser: new(rapid.Int64().Draw(t, "uid"))}
	}
	if rapid.Bool().Draw(t, "limited") {
		c.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse(rapid.SampledFrom([]string{"1", "1000m", "0.5"}).Draw(t, "cpu"))}
	}
	return c
}

func anyEnv(t *rapid.T) corev1.EnvVar {
	e := corev1.EnvVar{Name: names("E").Draw(t, "name"), Value: names("v").Draw(t, "value")}
	if rapid.Bool().Draw(t, "ref") {
		e.Value, e.ValueFrom = "", &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}
	}
	return e
}

func anyMount(t *rapid.T) corev1.VolumeMount {
	return corev1.VolumeMount{Name: names("v").Draw(t, "volume"), MountPath: names("/m").Draw(t, "path")}
}

func anyVolume(t *rapid.T) corev1.Volume {
	v := corev1.Volume{Name: names("v").Draw(t, "name")}
	if rapid.Bool().Draw(t, "empty") {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	} else {
		v.Projected = &corev1.ProjectedVolumeSource{DefaultMode: new(int32(420))}
	}
	return v
}

func anyToleration(t *rapid.T) corev1.Toleration {
	return corev1.Toleration{Key: names("k").Draw(t, "key"), Operator: corev1.TolerationOpExists}
}

// edit changes something at random, as mutators do. Names of elements stay what they are: for a renamed
// one there is no telling whether it is still the same.
func edit(t *rapid.T, pod *corev1.Pod) {
	switch rapid.IntRange(0, 9).Draw(t, "edit") {
	case 0:
		metav1.SetMetaDataLabel(&pod.ObjectMeta, names("l/~").Draw(t, "label"), names("w").Draw(t, "value"))
	case 1:
		delete(pod.Labels, names("l/~").Draw(t, "label"))
	case 2:
		pod.Spec.Containers = editList(t, pod.Spec.Containers, anyContainer, func(c corev1.Container) string { return c.Name })
	case 3:
		pod.Spec.InitContainers = editList(t, pod.Spec.InitContainers, anyContainer, func(c corev1.Container) string { return c.Name })
	case 4:
		pod.Spec.Volumes = editList(t, pod.Spec.Volumes, anyVolume, func(v corev1.Volume) string { return v.Name })
	case 5:
		pod.Spec.Tolerations = editList(t, pod.Spec.Tolerations, anyToleration, nil)
	case 6:
		pod.Spec.NodeName = names("n").Draw(t, "node")
	case 7:
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(rapid.Int64().Draw(t, "group"))}
	default:
		if len(pod.Spec.Containers) == 0 {
			return
		}
		c := &pod.Spec.Containers[rapid.IntRange(0, len(pod.Spec.Containers)-1).Draw(t, "container")]
		switch rapid.IntRange(0, 5).Draw(t, "part") {
		case 0:
			c.Env = editList(t, c.Env, anyEnv, func(e corev1.EnvVar) string { return e.Name })
		case 1:
			c.VolumeMounts = editList(t, c.VolumeMounts, anyMount, func(m corev1.VolumeMount) string { return m.MountPath })
		case 2:
			c.Args = editList(t, c.Args, func(t *rapid.T) string { return names("a").Draw(t, "arg") }, nil)
		case 3:
			c.SecurityContext = nil
		case 4:
			c.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("2")}
		case 5:
			c.Image = names("j").Draw(t, "image")
		}
	}
}

// editList inserts, removes one or several, or shuffles. With id, no two elements get the same.
func editList[T any](t *rapid.T, list []T, draw func(*rapid.T) T, id func(T) string) []T {
	list = slices.Clone(list)
	switch rapid.IntRange(0, 4).Draw(t, "list edit") {
	case 0:
		item := rapid.Custom(draw).Draw(t, "new")
		if id == nil || !slices.ContainsFunc(list, func(other T) bool { return id(other) == id(item) }) {
			list = slices.Insert(list, rapid.IntRange(0, len(list)).Draw(t, "at"), item)
		}
	case 1:
		if len(list) > 0 {
			i := rapid.IntRange(0, len(list)-1).Draw(t, "at")
			list = slices.Delete(list, i, i+1)
		}
	case 2:
		list = rapid.Permutation(list).Draw(t, "order")
	case 3:
		list = slices.DeleteFunc(list, func(T) bool { return rapid.Bool().Draw(t, "drop") })
	case 4:
		list = nil
	}
	return list
}
