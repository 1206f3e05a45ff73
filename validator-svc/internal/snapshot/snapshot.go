// Package snapshot sees to it that a driver has one default snapshot class, as external-snapshotter's
// validation webhook did until its version 8.1: the one of its rules that needs more than the object, and that
// a CustomResourceDefinition can therefore not check. The others are the policies snapshot-*.yaml.
package snapshot

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/validator-svc/internal/claim"
)

// Config configures the validator "snapshot", which needs no more than to be there: snapshot: {}.
type Config struct {
	// GroupClasses also checks VolumeGroupSnapshotClasses, of groupsnapshot.storage.k8s.io in whatever version is
	// served. The validator then needs the right to list and watch volumegroupsnapshotclasses as well as
	// volumesnapshotclasses.
	GroupClasses bool `json:"groupClasses,omitempty"`
}

// Follower follows the objects of a kind, as *cluster.Cluster does.
type Follower interface {
	Follow(kind schema.GroupVersionKind, o cluster.FollowOptions) (*cluster.Objects, error)
}

// classKind is a kind of classes.
type classKind struct {
	kind       schema.GroupKind
	annotation string // "true" makes a class the default of its driver
	noun       string
}

func classKinds(c Config) []classKind {
	kinds := []classKind{{
		schema.GroupKind{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotClass"},
		"snapshot.storage.kubernetes.io/is-default-class", "snapshot class",
	}}
	if c.GroupClasses {
		kinds = append(kinds, classKind{
			schema.GroupKind{Group: "groupsnapshot.storage.k8s.io", Kind: "VolumeGroupSnapshotClass"},
			"groupsnapshot.storage.kubernetes.io/is-default-class", "group snapshot class",
		})
	}
	return kinds
}

// Validator is the validator "snapshot". It is safe for concurrent use.
type Validator struct {
	rules map[schema.GroupKind]*rule
}

// rule is what is known of a kind of classes: the driver that each default class is for.
type rule struct {
	classKind
	classes *cluster.Objects
	drivers claim.Book
}

// class is what is read of a class, in a request.
type class struct {
	Metadata struct {
		Name        string            `json:"name"`
		UID         string            `json:"uid"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Driver string `json:"driver"`
}

// New returns a validator that follows the classes until Close.
func New(c Config, follower Follower) (*Validator, error) {
	v := &Validator{rules: map[schema.GroupKind]*rule{}}
	for _, kind := range classKinds(c) {
		classes, err := follower.Follow(kind.kind.WithVersion(""), cluster.FollowOptions{})
		if err != nil {
			v.Close()
			return nil, err
		}
		r := &rule{classKind: kind, classes: classes}
		v.rules[kind.kind] = r
		if err := classes.Notify(r.show, r.gone); err != nil {
			v.Close()
			return nil, fmt.Errorf("following %s: %w", kind.kind, err)
		}
	}
	return v, nil
}

// Close ends the following of classes. Whatever is asked afterwards is an error.
func (v *Validator) Close() {
	for _, r := range v.rules {
		r.classes.Close()
	}
}

// Validate implements sdk.Validator. Until the classes are known it returns an error.
func (v *Validator) Validate(ctx context.Context, req *sdk.Request) (*sdk.Verdict, error) {
	r := v.rules[schema.GroupKind{Group: req.GetKind().GetGroup(), Kind: req.GetKind().GetKind()}]
	operation := req.GetOperation()
	if r == nil || req.GetSubResource() != "" ||
		operation != admissionv1.Operation_OPERATION_CREATE && operation != admissionv1.Operation_OPERATION_UPDATE {
		return nil, nil
	}
	var now, before class
	if err := req.Decode(&now); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if operation == admissionv1.Operation_OPERATION_UPDATE {
		if err := req.DecodeOld(&before); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	// What was the default already may stay, and change in other ways, also if it is one of several.
	if !r.isDefault(now.Metadata.Annotations) || r.isDefault(before.Metadata.Annotations) && before.Driver == now.Driver {
		return nil, nil
	}
	if err := r.classes.Current(claim.DefaultLife); err != nil { // claims do not count for longer
		return nil, status.Errorf(codes.Unavailable, "which classes are defaults cannot be said: %v", err)
	}
	name := now.Metadata.Name
	if name == "" {
		name = req.GetUid() // which the apiserver is to name; nobody else has this one
	}
	answer := r.drivers.Ask(ctx, claim.Question{
		Place: place(now.Driver), Holder: name, UID: now.Metadata.UID, By: req.GetUid(), Max: 1, Only: req.GetDryRun(),
	})
	if answer.Allowed {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	for _, other := range r.drivers.Holders(place(now.Driver)) {
		if other != name {
			return &sdk.Verdict{Denials: []*admissionv1.Denial{r.denial(other, now.Driver, answer.Claimed)}}, nil
		}
	}
	return nil, status.Error(codes.Unavailable, "the default class has changed meanwhile; try again")
}

// denial has the webhook's words.
func (r *rule) denial(other, driver string, claimed bool) *admissionv1.Denial {
	message := fmt.Sprintf("default %s: %s already exists for driver: %s", r.noun, other, driver)
	if claimed {
		message += " (allowed a moment ago; if it does not appear, try again)"
	}
	return &admissionv1.Denial{Message: message}
}

func (r *rule) isDefault(annotations map[string]string) bool {
	return annotations[r.annotation] == "true"
}

// show takes in a class as it is in the cluster.
func (r *rule) show(obj any) {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	at := ""
	if r.isDefault(o.GetAnnotations()) {
		driver, _, _ := unstructured.NestedString(o.Object, "driver")
		at = place(driver)
	}
	r.drivers.Show(o.GetName(), at, string(o.GetUID()))
}

// place is where the default classes of a driver are counted. It is never empty, as the name of a driver may be.
func place(driver string) string { return "driver " + driver }

// gone takes in that a class is not in the cluster any more.
func (r *rule) gone(obj any) {
	if o, err := meta.Accessor(obj); err == nil {
		r.drivers.Show(o.GetName(), "", "")
	}
}
