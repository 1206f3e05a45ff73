package expression

import (
	"cmp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	celgo "github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Compiler compiles against one CEL environment: that of the apiserver library in use, with what it takes of new
// expressions. That is what the version before knows too: a file is refused that a cluster of that version, or this
// one, would refuse. It is for one goroutine.
//
// cel.CompositedCompiler, which kube-apiserver makes for each policy, would take ten times as long to make as a
// policy to compile: it declares everything that expressions may see in eight combinations. A Compiler is
// made once, and only the type of the variables changes with the policy.
type Compiler struct {
	// Environment is that environment.
	Environment *environment.EnvSet
	// Authorizer allows expressions to ask whether somebody may do something. False: they are refused.
	Authorizer bool

	compiler  cel.Compiler
	stateless func() cel.Compiler // made when it is needed
	variables *apiservercel.DeclType
}

// NewCompiler returns a compiler.
func NewCompiler() *Compiler {
	env, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(asIn136())
	if err != nil {
		panic(err) //nolint:forbidigo // see newCompiler
	}
	return newCompiler(env, sync.OnceValue(func() cel.Compiler { return cel.NewCompiler(env) }))
}

func newCompiler(env *environment.EnvSet, stateless func() cel.Compiler) *Compiler {
	variables := apiservercel.NewObjectType(variablesType, map[string]*apiservercel.DeclField{})
	extended, err := env.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        []celgo.EnvOption{celgo.Variable(cel.VariableVarName, variables.CelType())},
		DeclTypes:         []*apiservercel.DeclType{variables},
	})
	if err != nil {
		panic(err) //nolint:forbidigo // as cel.NewCompiler does: nothing in it depends on anybody's input
	}
	return &Compiler{Environment: env, compiler: cel.NewCompiler(extended), stateless: stateless, variables: variables}
}

// perCompiler is how many policies make up for making one compiler more.
const perCompiler = 16

// Each calls do for each i below n, on as many goroutines as there are processors, and returns when all is
// done. Calls with the same compiler follow each other.
func (c *Compiler) Each(n int, do func(c *Compiler, i int)) {
	var next atomic.Int64
	work := func(c *Compiler) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(c, i)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/perCompiler) - 1 {
		others.Go(func() {
			other := newCompiler(c.Environment, c.stateless)
			other.Authorizer = c.Authorizer
			work(other)
		})
	}
	work(c)
	others.Wait()
}

// Compile compiles list, variables before those who use them; the errors name every one that does not compile.
// What it returns, which is never nil, is of use only without errors.
func (c *Compiler) Compile(list []Expression) (*Compiled, field.ErrorList) {
	clear(c.variables.Fields)
	compiled := &Compiled{variables: variables{}}
	var errs field.ErrorList
	for _, e := range list {
		source := e.Accessor.GetExpression()
		if strings.TrimSpace(source) == "" {
			errs = append(errs, field.Required(e.At, "expression is not specified"))
			continue
		}
		result := c.compile(e, compiled.variables)
		compiled.Results = append(compiled.Results, result)
		if result.Error != nil {
			errs = append(errs, field.Invalid(e.At, source, result.Error.Detail))
			continue
		}
		uses, err := c.uses(source)
		if err != nil {
			errs = append(errs, field.InternalError(e.At, err))
			continue
		}
		if uses.Authorizer && !c.Authorizer {
			errs = append(errs, field.Forbidden(e.At, "authorizer asks who may do what, of which nothing is known here; "+
				"start the service with a cluster or with files of RBAC objects, or apply this policy to the cluster itself"))
		}
		compiled.Uses.Authorizer = compiled.Uses.Authorizer || uses.Authorizer
		if !e.Stateless {
			compiled.Uses.Namespace = compiled.Uses.Namespace || uses.Namespace
			compiled.Uses.WholeNamespace = cmp.Or(compiled.Uses.WholeNamespace, uses.WholeNamespace)
		}
	}
	return compiled, errs
}

func (c *Compiler) compile(e Expression, into variables) cel.CompilationResult {
	if e.Stateless {
		return c.stateless().CompileCELExpression(e.Accessor, e.Options, environment.NewExpressions)
	}
	result := c.compiler.CompileCELExpression(e.Accessor, e.Options, environment.NewExpressions)
	if e.Plain && result.Program != nil {
		result.Program = plainProgram{result.Program}
	}
	if variable, ok := e.Accessor.(cel.NamedExpressionAccessor); ok {
		// Also one that does not compile: what is wrong is said once, and not of all who use it.
		name := variable.GetName()
		c.variables.Fields[name] = apiservercel.NewDeclField(name, DeclType(result.OutputType), true, nil, nil)
		into[name] = result
	}
	return result
}

// uses tells what source, a valid expression, refers to.
func (c *Compiler) uses(source string) (Uses, error) {
	// Most expressions use neither: they need not be read again.
	if !strings.Contains(source, cel.AuthorizerVarName) && !strings.Contains(source, cel.NamespaceVarName) {
		return Uses{}, nil
	}
	env, err := c.Environment.Env(environment.NewExpressions)
	if err != nil {
		return Uses{}, err
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return Uses{}, issues.Err()
	}
	return usesOf(parsed.NativeRep()), nil
}
