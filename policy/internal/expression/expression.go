// Package expression compiles the CEL expressions of policies, and says where those stand that do not compile.
package expression

import (
	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
)

// Expression is one CEL expression of a policy, with the place where it stands.
type Expression struct {
	// At is the place in the object.
	At *field.Path
	// Accessor is the expression itself. A cel.NamedExpressionAccessor is a variable.
	Accessor cel.ExpressionAccessor
	// Options say what it may see.
	Options cel.OptionalVariableDeclarations
	// Stateless: match conditions do not see variables, because kube-apiserver checks them without.
	Stateless bool
	// Plain: what it evaluates to may become part of an object, and so may what it sees.
	Plain bool
}

// Common lists the variables and match conditions of a policy of whatever kind, in the order in which they must
// be compiled.
func Common(variables []v1.Variable, conditions []v1.MatchCondition, options cel.OptionalVariableDeclarations) []Expression {
	spec := field.NewPath("spec")
	var list []Expression
	for i, v := range variables {
		list = append(list, Expression{
			At:       spec.Child("variables").Index(i).Child("expression"),
			Accessor: &validating.Variable{Name: v.Name, Expression: v.Expression},
			Options:  options,
		})
	}
	for i := range conditions {
		list = append(list, Expression{
			At:        spec.Child("matchConditions").Index(i).Child("expression"),
			Accessor:  (*matchconditions.MatchCondition)(&conditions[i]),
			Options:   options,
			Stateless: true,
		})
	}
	return list
}

// Uses is what the expressions of a policy look at, of what a request may not carry.
type Uses struct {
	// Namespace: namespaceObject. Match conditions do not count: they see null there, as in kube-apiserver.
	Namespace bool
	// WholeNamespace is the first field of namespaceObject that is read besides the name, labels and annotations,
	// as it is written; empty where there is none.
	WholeNamespace string
	// Authorizer: whether somebody may do something.
	Authorizer bool
}

// Compiled is the expressions of one policy, compiled. It is safe for concurrent use.
type Compiled struct {
	// Results are in the order of the expressions that were compiled.
	Results []cel.CompilationResult
	// Uses is what the expressions look at.
	Uses Uses

	variables variables
}

// Conditions returns an evaluator of some of the Results; a zero one keeps its place. It sees the variables.
func (c *Compiled) Conditions(results []cel.CompilationResult) cel.ConditionEvaluator {
	return &conditions{ConditionEvaluator: cel.NewCondition(results), compiled: c}
}
