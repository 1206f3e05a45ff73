package labels

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	celenvironment "k8s.io/apiserver/pkg/cel/environment"
)

// The variables of an expression.
const (
	varNamespace = "Namespace" // written namespace, see unreserve
	varUser      = "user"
	varObject    = "object"
	varOldObject = "oldObject"
	varRequest   = "request"
)

// environment compiles expressions. Its functions, but for labelValue, and its cost limit are
// kube-apiserver's, so that what is known of CEL in admission policies holds here.
type environment struct{ env *cel.Env }

func newEnvironment() (environment, error) {
	text := apiservercel.StringType
	texts := apiservercel.NewMapType(text, text, -1)
	lists := apiservercel.NewListType(text, -1)
	namespace := objectType("gatefold.Namespace", map[string]*apiservercel.DeclType{
		"name": text, "labels": texts, "annotations": texts,
	})
	user := objectType("gatefold.User", map[string]*apiservercel.DeclType{
		"username": text, "uid": text, "groups": lists, "extra": apiservercel.NewMapType(text, lists, -1),
	})
	kind := objectType("gatefold.Kind", map[string]*apiservercel.DeclType{"group": text, "version": text, "kind": text})
	resource := objectType("gatefold.Resource", map[string]*apiservercel.DeclType{"group": text, "version": text, "resource": text})
	request := objectType("gatefold.Request", map[string]*apiservercel.DeclType{
		"operation": text, "kind": kind, "resource": resource, "subResource": text, "name": text, "namespace": text,
		"dryRun": apiservercel.BoolType, "userInfo": user,
	})
	set, err := celenvironment.MustBaseEnvSet(celenvironment.DefaultCompatibilityVersion()).Extend(
		celenvironment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			DeclTypes:         []*apiservercel.DeclType{namespace, user, kind, resource, request},
			EnvOptions: []cel.EnvOption{
				cel.Variable(varNamespace, namespace.CelType()),
				cel.Variable(varUser, user.CelType()),
				cel.Variable(varRequest, request.CelType()),
				cel.Variable(varObject, cel.DynType),
				cel.Variable(varOldObject, cel.DynType),
				cel.Function("labelValue", cel.Overload("label_value_string", []*cel.Type{cel.StringType}, cel.StringType,
					cel.UnaryBinding(func(value ref.Val) ref.Val {
						text, ok := value.(types.String)
						if !ok {
							return types.MaybeNoSuchOverloadErr(value)
						}
						return types.String(labelValue(string(text)))
					}))),
			},
		})
	if err != nil {
		return environment{}, fmt.Errorf("setting up CEL: %w", err)
	}
	return environment{set.NewExpressionsEnv()}, nil
}

// objectType declares the members of a variable, so that a misspelt one is found at load.
func objectType(name string, members map[string]*apiservercel.DeclType) *apiservercel.DeclType {
	fields := make(map[string]*apiservercel.DeclField, len(members))
	for name, declType := range members {
		fields[name] = apiservercel.NewDeclField(name, declType, true, nil, nil)
	}
	return apiservercel.NewObjectType(name, fields)
}

// labelValue makes a valid value of a label of any text. Two texts of the same length may give the same; of
// two that are too long, a hash keeps them apart.
func labelValue(text string) string {
	const hashed = 8 // hexadecimal digits: enough to tell a cluster's users apart
	valid := strings.Map(func(r rune) rune {
		if isAlphanumeric(r) || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, text)
	notAtEnds := func(r rune) bool { return !isAlphanumeric(r) }
	valid = strings.TrimFunc(valid, notAtEnds)
	if len(valid) <= validation.LabelValueMaxLength {
		return valid
	}
	sum := sha256.Sum256([]byte(text))
	cut := strings.TrimRightFunc(valid[:validation.LabelValueMaxLength-hashed-1], notAtEnds)
	return cut + "-" + hex.EncodeToString(sum[:])[:hashed]
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
