package labels

import (
	"strings"

	"github.com/antlr4-go/antlr/v4"
	"github.com/google/cel-go/parser/gen"
)

// CEL keeps the word "namespace" for itself and refuses it as a variable, though it means nothing by it.
// It is the word a person looks for here, so expressions write it and the parser is given varNamespace,
// which has the same length: positions in error messages stay right.
const writtenNamespace = "namespace"

// unreserve returns source with the variable namespace under its inner name. Only where the word stands
// for a variable: not in strings, comments or after a dot.
func unreserve(source string) string {
	if !strings.Contains(source, writtenNamespace) {
		return source
	}
	lexer := gen.NewCELLexer(antlr.NewInputStream(source))
	lexer.RemoveErrorListeners() // they print; the parser reports the same errors
	text := []rune(source)
	var last, beforeLast int // token types
	for _, token := range lexer.GetAllTokens() {
		if token.GetChannel() != antlr.TokenDefaultChannel {
			continue
		}
		member := last == gen.CELLexerDOT || last == gen.CELLexerQUESTIONMARK && beforeLast == gen.CELLexerDOT
		if token.GetTokenType() == gen.CELLexerIDENTIFIER && token.GetText() == writtenNamespace && !member {
			copy(text[token.GetStart():], []rune(varNamespace))
		}
		beforeLast, last = last, token.GetTokenType()
	}
	return string(text)
}

// asWritten returns a message of CEL's with the variable under the name that the user wrote.
func asWritten(message string) string {
	return strings.ReplaceAll(message, varNamespace, writtenNamespace)
}
