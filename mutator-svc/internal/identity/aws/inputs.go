package aws

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// annotationKeys are the annotations read, with their prefix.
type annotationKeys struct {
	role, audience, sts string // on the ServiceAccount
	expiration          string // on both
	skip                string // on the pod
}

func keysOf(prefix string) annotationKeys {
	return annotationKeys{
		role:       prefix + "/role-arn",
		audience:   prefix + "/audience",
		sts:        prefix + "/sts-regional-endpoints",
		expiration: prefix + "/token-expiration",
		skip:       prefix + "/skip-containers",
	}
}

// inputs is what annotations and configuration ask for, decided.
type inputs struct {
	audience    string
	regionalSTS bool
	expiration  int64           // seconds
	skip        map[string]bool // by container name
	warnings    []string
}

// roleARN is the reference's own idea of a good ARN, in any partition.
var roleARN = regexp.MustCompile(`^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]+$`)

// inputs weighs the annotations: for the expiration the pod's wins over the ServiceAccount's over the
// configuration; for the rest there is no pod annotation. A value that cannot be read counts as absent.
func (a *Provider) inputs(p *pod.Pod, sa *corev1.ServiceAccount) inputs {
	in := inputs{
		audience:    *a.cfg.Audience,
		regionalSTS: a.cfg.STSRegionalEndpoints,
		expiration:  *a.cfg.TokenExpirationSeconds,
	}
	if role := sa.Annotations[a.keys.role]; !roleARN.MatchString(role) {
		in.warn("role-arn %.50q is not an IAM role ARN; injected as it is", role)
	}
	if audience, ok := sa.Annotations[a.keys.audience]; ok {
		in.audience = audience
	}
	if text, ok := sa.Annotations[a.keys.sts]; ok {
		if regional, err := strconv.ParseBool(text); err == nil {
			in.regionalSTS = regional
		} else {
			in.warn("sts-regional-endpoints %.30q of the ServiceAccount is not true or false; ignored", text)
		}
	}
	in.readExpiration("ServiceAccount", sa.Annotations, a.keys)
	in.readExpiration("pod", p.Metadata.Annotations, a.keys)
	in.readSkip(p.Metadata.Annotations, a.keys)
	if _, ok := sa.Annotations[a.keys.skip]; ok {
		in.warn("skip-containers of the ServiceAccount is not read; put it on the pod")
	}
	return in
}

func (in *inputs) readExpiration(owner string, annotations map[string]string, keys annotationKeys) {
	text, ok := annotations[keys.expiration]
	if !ok {
		return
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		in.warn("token-expiration %.30q of the %s is not a number of seconds; ignored", text, owner)
		return
	}
	in.expiration = max(seconds, minTokenExpiration)
}

// readSkip reads the first record of a CSV text, with CSV's quotes and without trimming blanks: the
// second name in "a, b" is " b".
func (in *inputs) readSkip(annotations map[string]string, keys annotationKeys) {
	text, ok := annotations[keys.skip]
	if !ok {
		return
	}
	names, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		if !errors.Is(err, io.EOF) { // an empty text skips nothing, and says so plainly
			in.warn("skip-containers %.35q of the pod is not a CSV line; no container is skipped", text)
		}
		return
	}
	in.skip = make(map[string]bool, len(names))
	for _, name := range names {
		in.skip[name] = true
	}
}

// warn adds a warning of at most 120 bytes, which is what kubectl and the apiserver treat kindly.
func (in *inputs) warn(format string, args ...any) {
	const limit = 120
	text := fmt.Sprintf(format, args...)
	if len(text) > limit {
		cut := limit - len("…")
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	in.warnings = append(in.warnings, text)
}
