package quota

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	celenvironment "k8s.io/apiserver/pkg/cel/environment"
)

// varObject is all that a condition sees.
const varObject = "object"

// environment compiles conditions. Its functions and its cost limit are kube-apiserver's.
type environment struct{ env *cel.Env }

func newEnvironment() (environment, error) {
	set, err := celenvironment.MustBaseEnvSet(celenvironment.DefaultCompatibilityVersion()).Extend(
		celenvironment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			EnvOptions:        []cel.EnvOption{cel.Variable(varObject, cel.DynType)},
		})
	if err != nil {
		return environment{}, fmt.Errorf("setting up CEL: %w", err)
	}
	return environment{set.NewExpressionsEnv()}, nil
}

// condition is a compiled match condition.
type condition struct {
	name    string
	program cel.Program
}

// compile compiles a condition, and tells whether it looks at nothing but the object's metadata.
func (e environment) compile(c admissionregistrationv1.MatchCondition) (condition, bool, error) {
	ast, issues := e.env.Compile(c.Expression)
	if err := issues.Err(); err != nil {
		return condition{}, false, err
	}
	if !ast.OutputType().IsExactType(cel.BoolType) && !ast.OutputType().IsExactType(cel.DynType) {
		return condition{}, false, fmt.Errorf("it gives %s; a condition is true or false", ast.OutputType())
	}
	program, err := e.env.Program(ast,
		cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(celconfig.PerCallLimit),
		cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		return condition{}, false, err
	}
	return condition{c.Name, program}, onlyMetadata(ast.NativeRep().Expr()), nil
}

// onlyMetadata tells whether every mention of the object is one of its metadata.
func onlyMetadata(e celast.Expr) bool {
	mentions, ofMetadata := 0, 0
	celast.PostOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		switch {
		case e.Kind() == celast.IdentKind && e.AsIdent() == varObject:
			mentions++
		case e.Kind() == celast.SelectKind && e.AsSelect().FieldName() == "metadata":
			if of := e.AsSelect().Operand(); of.Kind() == celast.IdentKind && of.AsIdent() == varObject {
				ofMetadata++
			}
		}
	}))
	return mentions == ofMetadata
}

// holds evaluates the condition.
func (c condition) holds(ctx context.Context, object map[string]any) (bool, error) {
	value, _, err := c.program.ContextEval(ctx, map[string]any{varObject: object})
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", c.name, err)
	}
	holds, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("condition %s: it gives %s, which is neither true nor false", c.name, value.Type().TypeName())
	}
	return bool(holds), nil
}

// matcher says which objects a rule counts.
type matcher struct {
	kind         schema.GroupVersionKind
	namespaces   labels.Selector
	objects      labels.Selector
	conditions   []condition
	metadataOnly bool
}

// matches tells whether an object counts; its kind is the rule's. As with match conditions of webhooks, one that
// does not hold decides, whatever has failed before it.
func (m *matcher) matches(ctx context.Context, object *unstructured.Unstructured) (bool, error) {
	if !m.objects.Matches(labels.Set(object.GetLabels())) {
		return false, nil
	}
	var errs []error
	for _, c := range m.conditions {
		holds, err := c.holds(ctx, object.Object)
		if err != nil {
			errs = append(errs, err)
		} else if !holds {
			return false, nil
		}
	}
	return len(errs) == 0, errors.Join(errs...)
}
