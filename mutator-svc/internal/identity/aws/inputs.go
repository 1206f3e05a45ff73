package aws

import (
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// The annotations that are read, after the configured prefix and a slash.
const (
	// On the ServiceAccount: the ARN of the role that pods take; with composeRoleArn also its name,
	// with its path.
	annotationRole = "role-arn"
	// On the ServiceAccount: the token's audience. Empty, it is kube-apiserver's own.
	annotationAudience = "audience"
	// On the ServiceAccount: true or false, whether SDKs use the regional endpoints of STS.
	annotationSTS = "sts-regional-endpoints"
	// On the pod, or else the ServiceAccount: the token's life in seconds. Less than 600 is taken as
	// 600.
	annotationExpiration = "token-expiration"
	// On the pod: the containers, init containers included, that get no identity, as a line of CSV:
	// separated by commas, with blanks that count.
	annotationSkip = "skip-containers"
)

// The labels that are read and written. Their prefix is not configured.
const (
	// On the pod: with any value, the pod gets no AWS identity.
	labelSkip = "eks.amazonaws.com/skip-pod-identity-webhook"
	// Written to the pod: "enabled", where it has an EKS Pod Identity.
	labelPodIdentity = "eks.amazonaws.com/pod-identity"
)

// keys are the annotations with their prefix.
type keys struct{ role, audience, sts, expiration, skip string }

func keysUnder(prefix string) keys {
	prefix += "/"
	return keys{prefix + annotationRole, prefix + annotationAudience, prefix + annotationSTS, prefix + annotationExpiration, prefix + annotationSkip}
}

// serviceAccount is whose annotations most of them are, in messages.
const serviceAccount = "ServiceAccount"

// settings is what a pod's identity is like, whoever has it.
type settings struct {
	regionalSTS bool
	expiration  int64 // seconds
}

// ofServiceAccount reads the settings of a ServiceAccount. A value that cannot be read counts as absent.
func (p *Profile) ofServiceAccount(annotations map[string]string, out *profile.Answer) settings {
	s := settings{p.cfg.STSRegionalEndpoints, *p.cfg.TokenExpirationSeconds}
	if text, ok := annotations[p.keys.sts]; ok {
		if regional, err := strconv.ParseBool(text); err == nil {
			s.regionalSTS = regional
		} else {
			out.Invalid(p.cfg.InvalidValue, profile.Invalid{Annotation: p.keys.sts, Value: text, Owner: serviceAccount, Want: "true or false", Instead: "ignored"})
		}
	}
	if text, ok := annotations[p.keys.expiration]; ok {
		p.readExpiration(&s, serviceAccount, text, out)
	}
	profile.NoteMisplaced(out, p.cfg.InvalidValue, annotations, p.keys.skip)
	return s
}

func (p *Profile) readExpiration(s *settings, owner, text string, out *profile.Answer) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		out.Invalid(p.cfg.InvalidValue, profile.Invalid{Annotation: p.keys.expiration, Value: text, Owner: owner, Want: "a number of seconds", Instead: "ignored"})
		return
	case seconds < profile.MinExpiration:
		out.Note(p.cfg.InvalidValue, "token-expiration %.22q of the %s is raised to %d, the shortest there is", text, owner, profile.MinExpiration)
	}
	s.expiration = max(seconds, profile.MinExpiration)
	out.NoteTooLong(p.cfg.InvalidValue, seconds)
}

// readSkip reads the first record of a CSV text, with CSV's quotes and without trimming blanks: the
// second name in "a, b" is " b".
func (p *Profile) readSkip(pod *pod.Pod, out *profile.Answer) profile.Names {
	text, ok := pod.Annotation(p.keys.skip)
	if !ok {
		return profile.Names{}
	}
	names, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil && !errors.Is(err, io.EOF) { // an empty text skips nothing, and says so plainly
		out.Invalid(p.cfg.InvalidValue, profile.Invalid{Annotation: p.keys.skip, Value: text, Owner: "pod", Want: "a CSV line", Instead: "no container is skipped"})
		return profile.Names{}
	}
	return profile.NewNames(names)
}

// roleARN is the reference's own idea of a good ARN, in any partition.
var roleARN = regexp.MustCompile(`^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]+$`)

// role returns the ARN that is meant by the text of a role-arn annotation, or of the ConfigMap.
func (p *Profile) role(text, owner string, out *profile.Answer) string {
	invalid := profile.Invalid{Annotation: p.keys.role, Value: text, Owner: owner, Instead: "injected as it is"}
	if compose := p.cfg.ComposeRoleARN; compose != nil && !strings.Contains(text, "arn:") {
		if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "role/") {
			// Of "role//web" and "role/role/web" the pattern of ARNs thinks well.
			invalid.Want = "a name such as team/web"
		}
		text = "arn:" + compose.Partition + ":iam::" + compose.AccountID + ":role/" + text
	}
	if !roleARN.MatchString(text) {
		invalid.Value, invalid.Want = text, "an IAM role ARN"
	}
	if invalid.Want != "" {
		out.Invalid(p.cfg.InvalidValue, invalid)
	}
	return text
}
