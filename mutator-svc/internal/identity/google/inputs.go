package google

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// The annotations that are read and written, after the configured prefix and a slash.
const (
	// On the ServiceAccount: the provider that trusts the cluster, as
	// projects/NUMBER/locations/LOCATION/workloadIdentityPools/POOL/providers/PROVIDER. Written to the
	// pod.
	annotationProvider = "workload-identity-provider"
	// On the ServiceAccount, beside the provider: the email of the Google service account that pods act
	// as. Written to the pod.
	annotationEmail = "service-account-email"
	// On the ServiceAccount: the token's audience. Empty, it is kube-apiserver's own. Written to the pod.
	annotationAudience = "audience"
	// On the pod, or else on the ServiceAccount: the token's life in seconds. Less than 3600 is taken as
	// 3600. Written to the pod.
	annotationExpiration = "token-expiration"
	// On the ServiceAccount: the number of the user that the init container runs as.
	annotationRunAsUser = "gcloud-run-as-user"
	// On the ServiceAccount: gcloud or direct, in whatever case.
	annotationMode = "injection-mode"
	// On the pod: the containers, init containers included, that get no variables and no mounts,
	// separated by commas.
	annotationSkip = "skip-containers"
	// Written to pods in direct mode: the configuration of the credentials, which containers find in a
	// file.
	annotationCredentials = "external-credentials-json"
)

// keys are the annotations with their prefix.
type keys struct {
	provider, email, audience, expiration, runAsUser, mode, skip, credentials string
}

func keysUnder(prefix string) keys {
	prefix += "/"
	return keys{
		prefix + annotationProvider, prefix + annotationEmail, prefix + annotationAudience, prefix + annotationExpiration,
		prefix + annotationRunAsUser, prefix + annotationMode, prefix + annotationSkip, prefix + annotationCredentials,
	}
}

// owner is whose annotations most of them are, in messages.
const owner = "ServiceAccount"

// settings are what a pod's identity is like.
type settings struct {
	provider, email, audience string
	life                      life
	runAsUser                 *int64 // nil: the image says
	mode                      Mode
}

// life is a token's, in seconds, with the words of the annotation that asked for it and where that stands.
type life struct {
	seconds     int64
	text, owner string
}

// ofServiceAccount reads the annotations of a ServiceAccount, and tells whether its pods get an identity.
// As in the reference, what cannot be read is reported also where it would not be used.
func (p *Profile) ofServiceAccount(annotations map[string]string, out *profile.Answer) (s settings, ok bool) {
	s = settings{audience: *p.cfg.Audience, life: life{seconds: *p.cfg.TokenExpirationSeconds}, mode: p.cfg.DefaultMode}
	if len(annotations) == 0 {
		return s, false
	}
	if text, ok := annotations[p.keys.expiration]; ok {
		p.readExpiration(&s.life, owner, text, out)
	}
	if text, ok := annotations[p.keys.runAsUser]; ok {
		if user, err := strconv.ParseInt(text, 10, 64); err == nil {
			s.runAsUser = new(user)
		} else {
			p.invalid(out, p.keys.runAsUser, owner, text, "the number of a user", "ignored")
		}
	}
	if text, ok := annotations[p.keys.mode]; ok {
		if mode := Mode(strings.ToLower(text)); mode.known() {
			s.mode = mode
		} else {
			p.invalid(out, p.keys.mode, owner, text, "gcloud or direct", "taken as "+string(p.cfg.DefaultMode))
		}
	}
	if text, ok := annotations[p.keys.audience]; ok {
		s.audience = text
	}
	if ok = p.readAccount(&s, annotations, out); !ok {
		return s, false
	}
	profile.NoteMisplaced(out, p.cfg.InvalidValue, annotations, p.keys.skip)
	return s, true
}

// providers is the reference's own idea of a good provider.
var providers = regexp.MustCompile(`^projects/.+/locations/.+/workloadIdentityPools/.+/providers/.+$`)

// readAccount reads who pods act as, and tells whether there is somebody. Present is what counts: the
// reference takes an empty email, and refuses an empty provider.
func (p *Profile) readAccount(s *settings, annotations map[string]string, out *profile.Answer) bool {
	var provider, email bool
	s.provider, provider = annotations[p.keys.provider]
	s.email, email = annotations[p.keys.email]
	switch {
	case !provider && !email:
		return false
	case !email:
		p.alone(out, annotationProvider, annotationEmail)
		return false
	case !provider:
		p.alone(out, annotationEmail, annotationProvider)
		return false
	case !providers.MatchString(s.provider):
		want := "projects/NUMBER/locations/LOCATION/workloadIdentityPools/POOL/providers/PROVIDER"
		if p.cfg.InvalidValue != profile.Deny { // a warning is short
			want = "the full name of one"
		}
		p.invalid(out, p.keys.provider, owner, s.provider, want, "not used")
		return false
	}
	return true
}

// alone reports an annotation of the ServiceAccount that means nothing without another one.
func (p *Profile) alone(out *profile.Answer, has, lacks string) {
	if p.cfg.InvalidValue == profile.Deny {
		prefix := p.cfg.AnnotationPrefix + "/"
		out.Report(profile.Deny, "the ServiceAccount has %s and not %s; set both or neither", prefix+has, prefix+lacks)
		return
	}
	out.Note(p.cfg.InvalidValue, "%s of the ServiceAccount wants %s beside it; no Google identity", has, lacks)
}

func (p *Profile) readExpiration(l *life, owner, text string, out *profile.Answer) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.invalid(out, p.keys.expiration, owner, text, "a number of seconds", "ignored")
		return
	}
	*l = life{seconds, text, owner}
}

// clamp raises a life that is too short.
func (p *Profile) clamp(l *life, out *profile.Answer) {
	if l.seconds < minTokenExpiration {
		l.seconds = minTokenExpiration
		out.Note(p.cfg.InvalidValue, "%s %.22q of the %s is raised to %d, the shortest there is", annotationExpiration, l.text, l.owner, minTokenExpiration)
	}
}

// invalid reports a value that is not what it should be.
func (p *Profile) invalid(out *profile.Answer, annotation, owner, text, want, instead string) {
	out.Invalid(p.cfg.InvalidValue, profile.Invalid{Annotation: annotation, Value: text, Owner: owner, Want: want, Instead: instead})
}

// projects finds the project in an email. It is as loose as the reference: the project is what stands
// between the first "@" and the last suffix, whose dots may be anything.
var projects = regexp.MustCompile(`@(.*).iam.gserviceaccount.com`)

// projectOf returns the project of a Google service account; empty where its email does not tell.
func projectOf(email string) string {
	if match := projects.FindStringSubmatch(email); match != nil {
		return match[1]
	}
	return ""
}
