// Package sdk is how a team writes a mutator or a validator in Go: one function, and [Serve].
//
// A [Mutator] says how an object should change, as a changed object or as operations. A [Validator] says
// what speaks against it. Both see the object as the exact bytes that kube-apiserver sent, and may decode
// as much of it as they like.
//
// Three words are kept apart everywhere. A denial is an answer: the object must not enter the cluster, and
// its message tells the user why and what to do. An error means that the question could not be answered;
// the gate's failure policy for this service decides what becomes of the object. An empty answer changes
// nothing, or allows.
//
// kube-apiserver may ask the same question, with the same uid, up to eleven times, and asks about objects
// that are then discarded (dry run): a handler must have no side effects that this would multiply.
package sdk
