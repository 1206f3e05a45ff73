package aws_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
)

// recording is one line of testdata/recorded.jsonl, see testdata/README.md.
type recording struct {
	Config         string   `json:"config"`
	Flags          []string `json:"flags"`
	ServiceAccount struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"` // nil: no such ServiceAccount
	} `json:"serviceAccount"`
	Pod   json.RawMessage `json:"pod"`
	Final json.RawMessage `json:"final"`
}

// The reference webhook's answers are the specification: the same pods must come out.
func TestRecordedAnswersOfTheReference(t *testing.T) {
	file, err := os.Open("testdata/recorded.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	count := 0
	for ; lines.Scan(); count++ {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("line %d: %v", count+1, err)
		}
		t.Run(fmt.Sprintf("line %d %s %s", count+1, r.Config, r.ServiceAccount.Name), func(t *testing.T) {
			var sa *corev1.ServiceAccount
			if r.ServiceAccount.Annotations != nil {
				sa = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: r.ServiceAccount.Name, Annotations: r.ServiceAccount.Annotations,
				}}
			}
			got := inject(t, configFromFlags(t, r.Flags), sa, r.Pod)
			if diff := cmp.Diff(normalise(t, r.Final), normalise(t, got.object)); diff != "" {
				t.Errorf("not the pod that the reference made (-reference +ours):\n%s", diff)
			}
			assertNothingLost(t, "", decode(t, r.Pod), decode(t, got.object))
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if count != 60 {
		t.Errorf("replayed %d recordings, want 60", count)
	}
}

// configFromFlags reads the reference's command line, in both spellings, "--flag value" and "--flag=value".
func configFromFlags(t *testing.T, flags []string) aws.Config {
	t.Helper()
	var cfg aws.Config
	args := strings.FieldsFunc(strings.Join(flags, "="), func(r rune) bool { return r == '=' })
	for ; len(args) > 1; args = args[2:] {
		switch name, value := args[0], args[1]; name {
		case "--aws-default-region":
			cfg.DefaultRegion = value
		case "--sts-regional-endpoint":
			cfg.STSRegionalEndpoints = value == "true"
		case "--token-audience":
			cfg.Audience = &value
		case "--token-mount-path":
			cfg.MountPath = value
		case "--token-expiration":
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			cfg.TokenExpirationSeconds = &seconds
		case "--annotation-prefix":
			cfg.AnnotationPrefix = value
		default:
			t.Fatalf("unknown flag %q", name)
		}
	}
	cfg.SetDefaults()
	return cfg
}

// normalise takes away what means nothing: the reference's typed encoding adds empty values, and
// volumes and mounts are compared without their order. Variables keep theirs, for $(NAME) may refer to
// earlier ones only.
func normalise(t *testing.T, object []byte) map[string]any {
	t.Helper()
	pod := prune(decode(t, object)).(map[string]any)
	metadata := pod["metadata"].(map[string]any)
	if metadata["namespace"] == namespace {
		delete(metadata, "namespace")
	}
	spec := pod["spec"].(map[string]any)
	byName(spec, "volumes", "name")
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			byName(c.(map[string]any), "volumeMounts", "mountPath")
		}
	}
	return pod
}

func prune(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			pruned := prune(member)
			if pruned == nil {
				delete(v, key)
				continue
			}
			v[key] = pruned
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			if pruned := prune(v[i]); pruned != nil {
				v[i] = pruned
			}
		}
	}
	return value
}

func byName(owner map[string]any, list, key string) {
	elements, ok := owner[list].([]any)
	if !ok {
		return
	}
	named := map[string]any{}
	for i, e := range elements {
		name := fmt.Sprint(e.(map[string]any)[key])
		if _, twice := named[name]; twice {
			name = fmt.Sprintf("%s#%d", name, i)
		}
		named[name] = e
	}
	owner[list] = named
}

// assertNothingLost fails unless all of before is in after; lists may have grown.
func assertNothingLost(t *testing.T, at string, before, after any) {
	t.Helper()
	switch before := before.(type) {
	case map[string]any:
		got, ok := after.(map[string]any)
		if !ok {
			t.Errorf("%s was an object, is %v", at, after)
			return
		}
		for key, member := range before {
			now, ok := got[key]
			if !ok {
				t.Errorf("%s/%s is lost", at, key)
				continue
			}
			assertNothingLost(t, at+"/"+key, member, now)
		}
	case []any:
		got, ok := after.([]any)
		if !ok {
			t.Errorf("%s was a list, is %v", at, after)
			return
		}
		// A volume may stand before the others, a variable or mount after.
		shift := 0
		if at == "/spec/volumes" {
			shift = len(got) - len(before)
		}
		if len(got) < len(before) {
			t.Errorf("%s had %d elements, has %d", at, len(before), len(got))
			return
		}
		for i := range before {
			assertNothingLost(t, fmt.Sprintf("%s/%d", at, i), before[i], got[i+shift])
		}
	case nil: // null and absent may become a list
	default:
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s was %v, is %v", at, before, after)
		}
	}
}
