package validating

// library is the folder of the policies that are shipped. What they decide is tested by their own cases, which the
// module cli runs.
const library = "../../deploy/policies"
