package review

import (
	"bytes"
	"context"
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/resource"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	sdktest.Golden(t, filepath.Join("testdata", name), got, *update)
}

// scripted is a gate with a fixed opinion of every object: what a real one answers, without backends.
type scripted struct {
	Decisions
	asked []*admissionv1.AdmissionRequest
}

// tellShadows says what shadows would have done, as late as it may be.
func (g *scripted) tellShadows(ctx context.Context) {
	req := g.asked[len(g.asked)-1]
	if req.GetName() != "web" {
		return
	}
	for _, step := range []*gatewayv1.Step{
		{Backend: "policy-next", Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Denials: []*admissionv1.Denial{{Message: "not\nred"}, {Message: "not round"}}},
		{Backend: "labels-next", Outcome: gatewayv1.Outcome_OUTCOME_CHANGED, Asked: 1, Changed: []string{"/metadata/labels/a", "/metadata/labels/b"}},
		{Backend: "agrees", Outcome: gatewayv1.Outcome_OUTCOME_ALLOWED, Asked: 1},
		{Backend: "away", Outcome: gatewayv1.Outcome_OUTCOME_IGNORED, Error: "no replica answered"},
	} {
		g.RecordShadow(ctx, req, step)
		g.RecordShadow(ctx, &admissionv1.AdmissionRequest{Uid: "somebody else's"}, step)
	}
}

func reviewer(g *scripted, r *Requests) *Reviewer {
	return &Reviewer{Gate: g, Decisions: &g.Decisions, WaitShadows: g.tellShadows, Requests: r}
}

func op(kind admissionv1.PatchOp, path, value string) *admissionv1.PatchOperation {
	return &admissionv1.PatchOperation{Op: kind, Path: path, Value: []byte(value)}
}

func (g *scripted) Mutate(ctx context.Context, req *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	g.asked = append(g.asked, req.GetRequest())
	record := func(steps ...*gatewayv1.Step) {
		decision := &gatewayv1.Decision{Steps: steps}
		for _, s := range steps {
			decision.Rounds = max(decision.GetRounds(), s.GetAsked())
		}
		g.Record(ctx, req.GetRequest(), decision)
	}
	labels := []*admissionv1.PatchOperation{op(admissionv1.PatchOp_PATCH_OP_ADD, "/metadata/labels", `{"team":"a","yes":"no"}`)}
	identity := []*admissionv1.PatchOperation{
		op(admissionv1.PatchOp_PATCH_OP_ADD, "/spec/containers/0/env", `[{"name":"AWS_REGION","value":"eu"}]`),
		op(admissionv1.PatchOp_PATCH_OP_ADD, "/spec/volumes", `[{"name":"token"}]`),
	}
	changed := func(backend string, ops []*admissionv1.PatchOperation) *gatewayv1.Step {
		step := &gatewayv1.Step{
			Backend: backend, Outcome: gatewayv1.Outcome_OUTCOME_CHANGED, Operations: ops, Asked: 1, Peer: "10.0.0.1:9443", Duration: durationpb.New(1500 * time.Microsecond),
		}
		for _, op := range ops {
			step.Changed = append(step.Changed, op.GetPath())
		}
		return step
	}
	switch req.GetRequest().GetName() {
	case "web":
		skipped := &gatewayv1.Step{Backend: "nobody", Outcome: gatewayv1.Outcome_OUTCOME_NOT_MATCHED}
		second := changed("identity", identity)
		second.Asked = 2
		second.Conflicts = []*gatewayv1.Conflict{{Field: "/spec/volumes", Overruled: "labels"}}
		record(changed("labels", labels), skipped, second)
		return &gatewayv1.MutateResponse{
			Review: &gatewayv1.Review{Allowed: true, Operations: append(labels, identity...), Warnings: []string{"image is pinned\nby tag\x1b[2J"}},
		}, nil
	case "broken":
		record(changed("labels", labels), &gatewayv1.Step{Backend: "identity", Outcome: gatewayv1.Outcome_OUTCOME_FAILED, Error: "no replica answered"})
		return nil, status.Error(codes.Unavailable, "backend identity: no replica answered")
	}
	record(&gatewayv1.Step{Backend: "identity", Outcome: gatewayv1.Outcome_OUTCOME_NOT_MATCHED})
	return &gatewayv1.MutateResponse{Review: &gatewayv1.Review{Allowed: true}}, nil
}

func (g *scripted) Validate(ctx context.Context, req *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
	g.asked = append(g.asked, req.GetRequest())
	if req.GetRequest().GetName() != "bad" {
		return &gatewayv1.ValidateResponse{Review: &gatewayv1.Review{Allowed: true}}, nil
	}
	step := &gatewayv1.Step{Backend: "policy", Outcome: gatewayv1.Outcome_OUTCOME_DENIED, Denials: []*admissionv1.Denial{
		{Message: "label team is missing", Reason: "Invalid", Code: 422, Causes: []*admissionv1.Cause{{Field: "metadata.labels", Message: "required"}}},
		{Message: "image docker.io/evil is not from an allowed registry"},
	}}
	g.Record(ctx, req.GetRequest(), &gatewayv1.Decision{Steps: []*gatewayv1.Step{step}})
	return &gatewayv1.ValidateResponse{
		Review: &gatewayv1.Review{Status: &gatewayv1.Status{
			Message: "policy: label team is missing; policy: image docker.io/evil is not from an allowed registry", Reason: "Invalid", Code: 422,
		}},
	}, nil
}

func requests(objects []manifest.Object) *Requests {
	return &Requests{
		Mapper: resource.NewMapper(objects), Operation: admissionv1.Operation_OPERATION_CREATE,
		Namespace: "default", User: "jane", Groups: []string{"dev"}, Existing: objects, DryRun: true,
	}
}

func readObjects(t *testing.T) []manifest.Object {
	t.Helper()
	objects, err := manifest.Read(nil, "testdata/input.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestFormats(t *testing.T) {
	objects := readObjects(t)
	for format, write := range Printers(render.Style{}) {
		t.Run(format, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			for _, o := range objects {
				r, err := reviewer(&scripted{}, requests(objects)).Review(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if err := write(&stdout, r); err != nil {
					t.Fatal(err)
				}
				if err := r.PrintVerdict(&stderr, render.Style{}); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, "output."+format, stdout.String())
			golden(t, "output.stderr", stderr.String())
		})
	}
}

func TestRequests(t *testing.T) {
	objects := readObjects(t)
	gvk := func(g, v, k string) *admissionv1.GroupVersionKind {
		return &admissionv1.GroupVersionKind{Group: g, Version: v, Kind: k}
	}
	gvr := func(g, v, r string) *admissionv1.GroupVersionResource {
		return &admissionv1.GroupVersionResource{Group: g, Version: v, Resource: r}
	}
	jane := &admissionv1.UserInfo{Username: "jane", Groups: []string{"dev", "system:authenticated"}}
	ox := []byte(`{"apiVersion":"farm.example.com/v1","kind":"Ox","metadata":{"name":"bull"},"spec":{"weight":9007199254740993,"ratio":1.0}}`)
	bad := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"new","namespace":"default"},"spec":{}}`)
	cases := map[string]struct {
		operation admissionv1.Operation
		object    manifest.Object
		want      *admissionv1.AdmissionRequest
	}{
		"create of a cluster-scoped custom resource": {
			admissionv1.Operation_OPERATION_CREATE, objects[1],
			&admissionv1.AdmissionRequest{
				Kind: gvk("farm.example.com", "v1", "Ox"), Resource: gvr("farm.example.com", "v1", "oxen"), Name: "bull",
				Object: ox, Options: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`),
			},
		},
		"update of an object that is not in the cluster": {
			admissionv1.Operation_OPERATION_UPDATE, parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"new"},"spec":{}}`),
			&admissionv1.AdmissionRequest{
				Kind: gvk("", "v1", "Pod"), Resource: gvr("", "v1", "pods"), Name: "new", Namespace: "default",
				Object: bad, OldObject: bad, Options: []byte(`{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1"}`),
			},
		},
		"update of an object that is": {
			admissionv1.Operation_OPERATION_UPDATE, parse(t, `{"apiVersion":"farm.example.com/v1","kind":"Ox","metadata":{"name":"bull"}}`),
			&admissionv1.AdmissionRequest{
				Kind: gvk("farm.example.com", "v1", "Ox"), Resource: gvr("farm.example.com", "v1", "oxen"), Name: "bull",
				Object:    []byte(`{"apiVersion":"farm.example.com/v1","kind":"Ox","metadata":{"name":"bull"}}`),
				OldObject: ox, Options: []byte(`{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1"}`),
			},
		},
		"delete": {
			admissionv1.Operation_OPERATION_DELETE, objects[1],
			&admissionv1.AdmissionRequest{
				Kind: gvk("farm.example.com", "v1", "Ox"), Resource: gvr("farm.example.com", "v1", "oxen"), Name: "bull",
				OldObject: ox, Options: []byte(`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1"}`),
			},
		},
		"a namespace is in itself": {
			admissionv1.Operation_OPERATION_CREATE, parse(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team-a"}}`),
			&admissionv1.AdmissionRequest{
				Kind: gvk("", "v1", "Namespace"), Resource: gvr("", "v1", "namespaces"), Name: "team-a", Namespace: "team-a",
				Object:  []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team-a"}}`),
				Options: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := requests(objects)
			r.Operation = tc.operation
			gate := &scripted{}
			if _, err := reviewer(gate, r).Review(t.Context(), tc.object); err != nil {
				t.Fatal(err)
			}
			tc.want.RequestKind, tc.want.RequestResource = tc.want.GetKind(), tc.want.GetResource()
			tc.want.UserInfo, tc.want.Operation, tc.want.DryRun = jane, tc.operation, true
			for i, asked := range gate.asked {
				if asked.GetUid() == "" {
					t.Error("no uid")
				}
				if diff := cmp.Diff(tc.want, asked, protocmp.Transform(), protocmp.IgnoreFields(asked, "uid")); diff != "" {
					t.Errorf("request %d (-want +got):\n%s", i, diff)
				}
			}
			if len(gate.asked) != 2 {
				t.Errorf("the gate was asked %d times", len(gate.asked))
			}
		})
	}
}

// TestValidatorsSeeTheFinalObject: what is validated is what mutation made of it, with the namespace.
func TestValidatorsSeeTheFinalObject(t *testing.T) {
	objects := readObjects(t)
	gate := &scripted{}
	if _, err := reviewer(gate, requests(objects)).Review(t.Context(), objects[0]); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","annotations":{"size":"9007199254740993"},"labels":{"team":"a","yes":"no"}},` +
		`"spec":{"serviceAccountName":"web","containers":[{"name":"app","image":"registry.example.com/web:1.0","args":["yes","<&>"],"env":[{"name":"AWS_REGION","value":"eu"}]}],"volumes":[{"name":"token"}]}}`
	if diff := cmp.Diff(want, string(gate.asked[1].GetObject())); diff != "" {
		t.Errorf("validated (-want +got):\n%s", diff)
	}
}

// TestNobodyWaitsForShadows: then they are nobody's, however early they are.
func TestNobodyWaitsForShadows(t *testing.T) {
	objects := readObjects(t)
	gate := &scripted{}
	v := reviewer(gate, requests(objects))
	v.WaitShadows = nil
	r, err := v.Review(t.Context(), objects[0])
	gate.tellShadows(t.Context())
	if err != nil || len(r.Shadows) > 0 || len(gate.shadows) > 0 {
		t.Errorf("shadows %v, remembered %v, error %v", r.Shadows, gate.shadows, err)
	}
}

// silent answers with a patch that no step owns up to.
type silent struct{ scripted }

func (g *silent) Mutate(context.Context, *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	ops := []*admissionv1.PatchOperation{op(admissionv1.PatchOp_PATCH_OP_ADD, "/metadata/labels", `{}`)}
	return &gatewayv1.MutateResponse{Review: &gatewayv1.Review{Allowed: true, Operations: ops}}, nil
}

func TestUnownedChangesAreTheGates(t *testing.T) {
	objects := readObjects(t)
	r, err := (&Reviewer{Gate: &silent{}, Decisions: &Decisions{}, Requests: requests(objects)}).Review(t.Context(), objects[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(r.States) != 1 || r.States[0].Backend != "gate" {
		t.Errorf("states: %+v", r.States)
	}
}

func TestMalformedAPIVersion(t *testing.T) {
	_, err := reviewer(&scripted{}, requests(nil)).Review(t.Context(), parse(t, `{"apiVersion":"a/b/c","kind":"X","metadata":{"name":"x"}}`))
	if err == nil || err.Error() != `test:1: apiVersion "a/b/c" is not VERSION or GROUP/VERSION` {
		t.Errorf("error: %v", err)
	}
}

func parse(t *testing.T, text string) manifest.Object {
	t.Helper()
	objects, err := manifest.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects[0]
}
