package expression

import (
	"context"
	"math"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// This file restates, for Compiler, what k8s.io/apiserver pkg/admission/plugin/cel/composition.go does with
// variables and does not export: they are evaluated when they are first used, and pay with the expression that
// uses them.

const variablesType = "kubernetes.variables"

// variables are the compiled variables of a policy, by name.
type variables map[string]cel.CompilationResult

// conditions is a ConditionEvaluator that sees variables.
type conditions struct {
	cel.ConditionEvaluator
	compiled *Compiled
}

// ForInput implements cel.ConditionEvaluator.
func (c *conditions) ForInput(ctx context.Context, versioned *admission.VersionedAttributes, request *admissionv1.AdmissionRequest,
	optional cel.OptionalVariableBindings, namespace *corev1.Namespace, budget int64,
) ([]cel.EvaluationResult, int64, error) {
	return c.ConditionEvaluator.ForInput(c.compiled.CreateContext(ctx), versioned, request, optional, namespace, budget)
}

// CreateContext returns the context in which one evaluator of the policy looks at one request: a variable is
// evaluated at most once in it.
func (c *Compiled) CreateContext(parent context.Context) cel.CompositionContext {
	return &variablesContext{Context: parent, variables: c.variables}
}

type variablesContext struct {
	context.Context //nolint:containedctx // it is one
	variables       variables
	cost            int64 // of those that were evaluated since it was last asked for
}

// Variables implements cel.CompositionContext.
func (c *variablesContext) Variables(activation any) ref.Val {
	all := lazy.NewMapValue(apiservercel.NewObjectType(variablesType, nil))
	for name, result := range c.variables {
		all.Append(name, func(*lazy.MapValue) ref.Val { return c.evaluate(name, result, activation) })
	}
	return all
}

// GetAndResetCost implements cel.CompositionContext.
func (c *variablesContext) GetAndResetCost() int64 {
	cost := c.cost
	c.cost = 0
	return cost
}

func (c *variablesContext) evaluate(name string, variable cel.CompilationResult, activation any) ref.Val {
	value, details, err := variable.Program.ContextEval(c, activation)
	if details == nil {
		return types.NewErr("unable to get evaluation details of variable %q", name)
	}
	cost := details.ActualCost()
	if cost == nil {
		return types.NewErr("unable to calculate cost of variable %q", name)
	}
	c.cost += int64(min(*cost, math.MaxInt64)) //nolint:gosec // it fits now
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %v", name, err)
	}
	return value
}

// DeclType is the type of a field of variables; nil, of a variable that did not compile, may be anything.
func DeclType(t *celgo.Type) *apiservercel.DeclType {
	if t == nil {
		return apiservercel.DynType
	}
	for _, plain := range []*apiservercel.DeclType{
		apiservercel.AnyType, apiservercel.BoolType, apiservercel.BytesType, apiservercel.DoubleType, apiservercel.DurationType,
		apiservercel.IntType, apiservercel.NullType, apiservercel.StringType, apiservercel.TimestampType, apiservercel.UintType,
	} {
		if t == plain.CelType() {
			return plain
		}
	}
	if parameters := t.Parameters(); t.HasTrait(traits.ContainerType) && t.HasTrait(traits.IndexerType) {
		switch len(parameters) {
		case 1:
			return apiservercel.NewListType(DeclType(parameters[0]), -1)
		case 2:
			return apiservercel.NewMapType(DeclType(parameters[0]), DeclType(parameters[1]), -1)
		}
	}
	return apiservercel.DynType
}
