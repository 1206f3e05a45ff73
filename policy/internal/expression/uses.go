package expression

import (
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
)

// usesOf tells what an expression looks at.
func usesOf(parsed *celast.AST) Uses {
	var uses Uses
	for _, e := range celast.MatchDescendants(celast.NavigateAST(parsed), celast.KindMatcher(celast.IdentKind)) {
		switch strings.TrimPrefix(e.AsIdent(), ".") {
		case cel.AuthorizerVarName:
			uses.Authorizer = true
		case cel.NamespaceVarName:
			uses.Namespace = true
			if path, sent := fieldsOf(e); !sent && uses.WholeNamespace == "" {
				uses.WholeNamespace = strings.Join(append([]string{cel.NamespaceVarName}, path...), ".")
			}
		}
	}
	return uses
}

// fieldsOf returns which field of the namespace is read, and whether it is among those that come with a
// request.
func fieldsOf(namespace celast.NavigableExpr) (path []string, sent bool) {
	e := namespace
	for {
		parent, ok := e.Parent()
		if !ok {
			break
		}
		field, ok := fieldAccess(parent, e)
		if !ok {
			break
		}
		path, e = append(path, field), parent
	}
	if len(path) == 0 {
		parent, ok := e.Parent()
		return nil, ok && comparesWithNull(parent)
	}
	return path, len(path) > 1 && path[0] == "metadata" && slices.Contains([]string{"name", "labels", "annotations"}, path[1])
}

// fieldAccess returns the field that e, of which operand is a part, reads of operand: operand.field,
// has(operand.field) or operand.?field.
func fieldAccess(e, operand celast.NavigableExpr) (string, bool) {
	switch e.Kind() {
	case celast.SelectKind:
		return e.AsSelect().FieldName(), true
	case celast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.OptSelect || call.Args()[0].ID() != operand.ID() || call.Args()[1].Kind() != celast.LiteralKind {
			return "", false
		}
		name, ok := call.Args()[1].AsLiteral().(types.String)
		return string(name), ok
	}
	return "", false
}

func comparesWithNull(e celast.NavigableExpr) bool {
	if e.Kind() != celast.CallKind || !slices.Contains([]string{operators.Equals, operators.NotEquals}, e.AsCall().FunctionName()) {
		return false
	}
	return slices.ContainsFunc(e.AsCall().Args(), func(a celast.Expr) bool {
		return a.Kind() == celast.LiteralKind && a.AsLiteral() == types.NullValue
	})
}
