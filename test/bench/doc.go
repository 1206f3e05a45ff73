// Package bench measures what one decision costs: an AdmissionReview of a 6.6 KB pod in, a patch with
// the pod's AWS identity out. The gate and its mutator run as processes of their own with mutual TLS on
// both hops and one trace in a hundred exported; beside them, in the same run, a webhook of the usual
// kind does the same work in one process.
package bench
