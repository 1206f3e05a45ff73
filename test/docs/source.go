package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// comments are those of a package's struct types, by name.
type comments map[string]*typeDocs

type typeDocs struct {
	doc    string
	fields map[string]string
}

// readComments reads the package in a folder.
func readComments(dir string) (comments, error) {
	out := comments{}
	err := eachFile(dir, func(file string, syntax *ast.File) error {
		if filepath.Dir(file) != dir {
			return nil
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range decl.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					out[t.Name.Name] = docsOf(decl, t)
				}
			}
			return false
		})
		return nil
	})
	return out, err
}

func docsOf(decl *ast.GenDecl, t *ast.TypeSpec) *typeDocs {
	docs := &typeDocs{doc: decl.Doc.Text(), fields: map[string]string{}}
	if s, ok := t.Type.(*ast.StructType); ok {
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				docs.fields[name.Name] = f.Doc.Text()
			}
		}
	}
	return docs
}

// eachFile parses the Go files below a folder, without tests.
func eachFile(dir string, do func(file string, syntax *ast.File) error) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		return do(file, syntax)
	})
}

// causes returns the constants of the gate's type Cause, with the comment beside each.
func causes(root string) ([]described, error) {
	var out []described
	err := eachFile(filepath.Join(root, "gateway/internal/outcome"), func(_ string, syntax *ast.File) error {
		ast.Inspect(syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if ok && spec.Type != nil && len(spec.Values) == 1 {
				if t, ok := spec.Type.(*ast.Ident); ok && t.Name == "Cause" {
					out = append(out, described{literal(spec.Values[0]), prose(spec.Comment.Text(), nil)})
				}
			}
			return true
		})
		return nil
	})
	return out, err
}

// logLine is a call of a logger. Levels and Fields are as the line has them.
type logLine struct {
	From, Message, Level string
	Fields               []string
}

// found is what the code of one program says that it tells.
type found struct {
	lines []logLine
	names map[string]string // of metrics and attributes, "gatefold.x": the file
}

var (
	logCall = regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$`)
	ownName = regexp.MustCompile(`^gatefold(\.[a-z_]+)+$`)
)

// readTelling finds log lines, and the names of metrics and attributes, in the code below a folder.
func readTelling(dir, from string) (*found, error) {
	out := &found{names: map[string]string{}}
	err := eachFile(dir, func(file string, syntax *ast.File) error {
		var failure error
		var lists map[string][]string
		ast.Inspect(syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lists = attrLists(n)
			case *ast.BasicLit:
				if name := literal(n); ownName.MatchString(name) {
					out.names[name] = file
				}
			case *ast.CallExpr:
				line, err := readLog(n, lists)
				if err != nil {
					failure = fmt.Errorf("%s: %w", file, err)
				}
				if line != nil {
					line.From = from
					out.lines = append(out.lines, *line)
				}
			}
			return true
		})
		return failure
	})
	return out, err
}

// attrLists returns the fields in the lists of attributes that a function collects, by the name of the list.
func attrLists(function *ast.FuncDecl) map[string][]string {
	lists := map[string][]string{}
	ast.Inspect(function, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != 1 {
			return true
		}
		list, ok := assign.Lhs[0].(*ast.Ident)
		if !ok {
			return true
		}
		ast.Inspect(assign.Rhs[0], func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 2 {
				if method, ok := call.Fun.(*ast.SelectorExpr); ok && isPackage(method.X, "slog") {
					lists[list.Name] = append(lists[list.Name], literal(call.Args[0]))
				}
			}
			return true
		})
		return true
	})
	return lists
}

// readLog returns the log line that a call writes, or nil. lists are those that the call may pass on.
func readLog(call *ast.CallExpr, lists map[string][]string) (*logLine, error) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil, nil //nolint:nilnil // no log line is no mistake
	}
	line, args := &logLine{}, call.Args
	switch match := logCall.FindStringSubmatch(method.Sel.Name); {
	case method.Sel.Name == "LogAttrs":
		if level, ok := args[1].(*ast.SelectorExpr); ok {
			line.Level = strings.ToUpper(strings.TrimPrefix(level.Sel.Name, "Level"))
		}
		args = args[2:]
	case match == nil || len(args) == 0 || isPackage(method.X, "status"): // status.Error is no log line
		return nil, nil //nolint:nilnil // as above
	default:
		line.Level = strings.ToUpper(match[1])
		if match[2] != "" {
			args = args[1:]
		}
	}
	if line.Message = literal(args[0]); line.Message == "" {
		return nil, fmt.Errorf("the message of a log line is %s, and not a constant", types.ExprString(args[0]))
	}
	if call.Ellipsis.IsValid() { // a list...
		list, _ := args[1].(*ast.Ident)
		if list == nil || len(lists[list.Name]) == 0 {
			return nil, fmt.Errorf("cannot read the fields of log line %q", line.Message)
		}
		line.Fields = lists[list.Name]
		return line, nil
	}
	for i := 1; i < len(args); i++ {
		key := literal(args[i])
		if attr, ok := args[i].(*ast.CallExpr); ok && len(attr.Args) == 2 { // slog.String("key", value)
			key = literal(attr.Args[0])
		} else {
			i++ // the value
		}
		if key == "" {
			return nil, fmt.Errorf("cannot read the fields of log line %q", line.Message)
		}
		line.Fields = append(line.Fields, key)
	}
	return line, nil
}

func isPackage(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}

// literal is the value of a string literal, or empty.
func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value) // it was parsed
		return s
	}
	return ""
}
