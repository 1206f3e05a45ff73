package expression

import (
	"context"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	reviewv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
)

// plainProgram shows an expression the request and the namespace as maps and lists. k8s.io/apiserver 0.37 shows it
// Go structs, of which it can read every field, but which nothing can turn into JSON: a mutation that writes
// request.userInfo somewhere would fail, which it does not in kube-apiserver 1.36.
type plainProgram struct{ celgo.Program }

// ContextEval implements celgo.Program.
func (p plainProgram) ContextEval(ctx context.Context, input any) (ref.Val, *celgo.EvalDetails, error) {
	if activation, ok := input.(celgo.Activation); ok {
		input = &plainActivation{Activation: activation}
	}
	return p.Program.ContextEval(ctx, input)
}

// plainActivation is what one evaluation sees.
type plainActivation struct {
	celgo.Activation

	request, namespace any // nil: not yet asked for
}

// ResolveName implements celgo.Activation.
func (a *plainActivation) ResolveName(name string) (any, bool) {
	switch name {
	case cel.RequestVarName:
		return a.plain(name, &a.request)
	case cel.NamespaceVarName:
		return a.plain(name, &a.namespace)
	default:
		return a.Activation.ResolveName(name)
	}
}

func (a *plainActivation) plain(name string, known *any) (any, bool) {
	if *known != nil {
		return *known, true
	}
	value, ok := a.Activation.ResolveName(name)
	if ok {
		*known = plain(value)
	}
	return *known, ok
}

func plain(value any) any {
	v, ok := value.(ref.Val)
	if !ok {
		return value
	}
	var object any
	switch native := v.Value().(type) {
	case reviewv1.AdmissionRequest:
		object = &native
	case corev1.Namespace:
		object = &native
	default:
		return value
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return types.NewErr("failed to convert to unstructured: %v", err)
	}
	return types.DefaultTypeAdapter.NativeToValue(content)
}
