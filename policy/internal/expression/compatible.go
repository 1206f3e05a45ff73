package expression

import (
	"math"
	"strings"
	"unicode/utf8"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
)

// asIn136 gives expressions the meaning that they have in kube-apiserver 1.36, which is built with cel-go 0.26, where
// cel-go 0.29 has another one: what they cost, on which it depends whether they come to an end, and what some
// functions answer at their edges.
func asIn136() environment.VersionedOptions {
	anyType := celgo.TypeParamType("T")
	return environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), // as whatever is always there
		EnvOptions: []celgo.EnvOption{
			celgo.Macros(celgo.ReceiverMacro("orValue", 1, orValue)),
			celgo.Function(optionally, celgo.Overload(optionally, []*celgo.Type{anyType}, anyType, celgo.UnaryBinding(toOptional))),
			// It never gave anything but an error; but it compiles, and the error has another text.
			celgo.Function("duration", celgo.Overload("int64_to_duration", []*celgo.Type{celgo.IntType}, celgo.DurationType,
				celgo.UnaryBinding(func(n ref.Val) ref.Val { return n.ConvertToType(types.DurationType) }))),
			celgo.Function("indexOf", searchFrom("string_index_of_string_int", firstFrom)),
			celgo.Function("lastIndexOf", searchFrom("string_last_index_of_string_int", lastFrom)),
			celgo.Function("lists.range", celgo.Overload("lists_range", []*celgo.Type{celgo.IntType}, celgo.ListType(celgo.IntType),
				celgo.UnaryBinding(numbers))),
		},
		ProgramOptions: []celgo.ProgramOption{celgo.CostTrackerOptions(
			interpreter.OverloadCostTracker(overloads.StartsWithString, costOfReading), // 0.29 counts the other string
			interpreter.OverloadCostTracker(overloads.EndsWithString, costOfReading),
			interpreter.OverloadCostTracker(overloads.Matches, costOfOne), // 0.29: as of the method
			interpreter.OverloadCostTracker(optionally, costOfNothing),
		)},
	}
}

// costOfReading is what it costs to read the first argument.
func costOfReading(args []ref.Val, _ ref.Val) *uint64 {
	size := types.IntOne
	if sized, ok := args[0].(traits.Sizer); ok {
		size, _ = sized.Size().(types.Int)
	}
	return new(uint64(math.Ceil(float64(size) * common.StringTraversalCostFactor)))
}

func costOfOne([]ref.Val, ref.Val) *uint64 { return new(uint64(1)) }

func costOfNothing([]ref.Val, ref.Val) *uint64 { return new(uint64(0)) }

// optionally is a function that nobody can write. Its type is that of its argument, so that the checker says of x.orValue(y)
// what it always says.
const optionally = "@optionally"

// orValue makes @optionally(x).orValue(y) of x.orValue(y). Where x is no optional, as when the question mark of
// object.spec.?replicas was forgotten, it is the answer in 0.26, and an error in 0.29.
func orValue(h celgo.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	return h.NewMemberCall("orValue", h.NewCall(optionally, target), args...), nil
}

func toOptional(value ref.Val) ref.Val {
	if _, ok := value.(*types.Optional); ok {
		return value
	}
	return types.OptionalOf(value)
}

// searchFrom is a search in a string that begins at an offset. The empty string is found at any offset, even behind
// the end, where 0.29 says the end.
func searchFrom(overload string, search func(runes []rune, part string, offset int) int) celgo.FunctionOpt {
	return celgo.MemberOverload(overload, []*celgo.Type{celgo.StringType, celgo.StringType, celgo.IntType}, celgo.IntType,
		celgo.FunctionBinding(func(args ...ref.Val) ref.Val {
			text, isText := args[0].(types.String)
			part, isPart := args[1].(types.String)
			offset, isOffset := args[2].(types.Int)
			runes := []rune(text)
			switch {
			case !isText || !isPart || !isOffset:
				return types.NoSuchOverloadErr()
			case part == "":
				return offset
			case offset < 0:
				return types.NewErr("index out of range: %d", offset)
			case offset >= types.Int(len(runes)):
				return types.IntNegOne
			}
			return types.Int(search(runes, string(part), int(offset)))
		}))
}

func firstFrom(runes []rune, part string, offset int) int {
	before, _, found := strings.Cut(string(runes[offset:]), part)
	if !found {
		return -1
	}
	return offset + utf8.RuneCountInString(before)
}

func lastFrom(runes []rune, part string, offset int) int {
	text := string(runes[:min(offset+utf8.RuneCountInString(part), len(runes))])
	at := strings.LastIndex(text, part)
	if at < 0 {
		return -1
	}
	return utf8.RuneCountInString(text[:at])
}

// maxNumbers is 0.29's bound, beyond which the cost limit ends an evaluation in 0.26, too.
const maxNumbers = 1_000_000

// numbers are those from 0 up to n; none for a negative n, which is an error in 0.29.
func numbers(n ref.Val) ref.Val {
	count, ok := n.(types.Int)
	switch {
	case !ok:
		return types.NoSuchOverloadErr()
	case count > maxNumbers:
		return types.NewErr("lists.range: size %d exceeds maximum allowed (%d)", count, maxNumbers)
	}
	list := make([]ref.Val, max(count, 0))
	for i := range list {
		list[i] = types.Int(i)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, list)
}
