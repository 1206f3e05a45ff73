// Package google gives pods Google Cloud identities by workload identity federation: a mounted, projected
// ServiceAccount token that Google's libraries and gcloud trade for the credentials of a Google service
// account, and what leads them to it. In the mode gcloud an init container logs in; in the mode direct the
// configuration of the credentials is an annotation of the pod, mounted as a file.
//
// The rules are those of pfnet-research/gcp-workload-identity-federation-webhook, whose users they serve
// unchanged, down to its treatment of odd values. What differs: it sends the pod through its Go types and
// so drops fields that they do not know, it is silent about a ServiceAccount that does not exist, and it
// always replaces an init container gcloud-setup, where this package leaves one alone that has all that
// it should have: so what a LimitRange or another webhook has added to it outlives a reinvocation.
package google

import (
	"fmt"
	"strconv"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// Profile injects Google Cloud identities. It is safe for concurrent use.
type Profile struct {
	cfg            Config
	keys           keys
	fileMode       int32
	gcloud, direct parts
	region         pod.Element
}

// New returns a Profile. cfg has its defaults and is valid.
func New(cfg Config) (*Profile, error) {
	fileMode, err := strconv.ParseInt(string(cfg.TokenFileMode), 8, 32)
	if err != nil {
		return nil, fmt.Errorf("tokenFileMode: %w", err)
	}
	p := &Profile{
		cfg:      cfg,
		keys:     keysUnder(cfg.AnnotationPrefix),
		fileMode: int32(fileMode),
		gcloud:   gcloudParts(),
		region:   pod.Variable("CLOUDSDK_COMPUTE_REGION", cfg.DefaultRegion),
	}
	p.direct = directParts(p.keys.credentials, p.fileMode)
	return p, nil
}

// Inject adds to out what the pod needs to take on the identity of its ServiceAccount: nothing where it
// has none.
func (p *Profile) Inject(req *profile.Request, out *profile.Answer) error {
	if req.ServiceAccount == "" {
		return nil
	}
	annotations, found, err := req.Annotations(req.ServiceAccount)
	switch {
	case err != nil:
		return err
	case !found:
		out.Missing(p.cfg.MissingServiceAccount, req.ServiceAccount, "Google identity")
		return nil
	}
	s, ok := p.ofServiceAccount(annotations, out)
	if !ok {
		return nil
	}
	if text, ok := req.Pod.Annotation(p.keys.expiration); ok {
		p.readExpiration(&s.life, "pod", text, out)
	}
	if out.Denied() {
		return nil
	}
	p.clamp(&s.life, out)
	out.NoteTooLong(p.cfg.InvalidValue, s.life.seconds)
	if err := req.Pod.Open(); err != nil {
		return err
	}
	return p.add(req.Pod, &s, out)
}

// add changes the pod.
func (p *Profile) add(to *pod.Pod, s *settings, out *profile.Answer) error {
	project := projectOf(s.email)
	if project == "" {
		out.Note(p.cfg.InvalidValue, "%s %.30q is not NAME@PROJECT.iam.gserviceaccount.com; no project is set", annotationEmail, s.email)
	}
	names, _ := to.Annotation(p.keys.skip)
	skip := profile.SplitNames(names, ",")

	to.SetAnnotation(&out.Patch, p.keys.provider, s.provider)
	to.SetAnnotation(&out.Patch, p.keys.email, s.email)
	to.SetAnnotation(&out.Patch, p.keys.audience, s.audience)
	to.SetAnnotation(&out.Patch, p.keys.expiration, strconv.FormatInt(s.life.seconds, 10))
	with := &p.gcloud
	if s.mode == Direct {
		with = &p.direct
		text, err := credentialsJSON(s.provider, s.email)
		if err != nil {
			return fmt.Errorf("credentials of %s: %w", s.email, err)
		}
		to.SetAnnotation(&out.Patch, p.keys.credentials, text)
	}
	to.SetVolume(&out.Patch, pod.Volume(p.token(s)))
	to.SetVolume(&out.Patch, with.volume)
	if s.mode == Gcloud {
		to.SetInitContainer(&out.Patch, p.setup(s, project))
	}
	out.Later(func() {
		skip.NoteUnknown(out, p.cfg.InvalidValue, annotationSkip, to)
		absent := []pod.Element{p.region, pod.Variable("CLOUDSDK_CORE_PROJECT", project)}
		for c := range to.All() {
			// What logs in is complete, in whichever list somebody has put it.
			if !c.Is(setupContainer) && !skip.Has(c) {
				addTo(c, with, absent, out)
			}
		}
	})
	return nil
}

// addTo gives one container its part. Those of absent count only where the container has none of its own.
func addTo(c *pod.Container, with *parts, absent []pod.Element, out *profile.Answer) {
	for _, m := range with.mounts {
		c.SetMount(&out.Patch, m)
	}
	add := make([]pod.Element, 0, 4)
	for _, v := range with.env {
		if c.HasAnyEnv(v) {
			c.SetEnv(&out.Patch, v)
		} else {
			add = append(add, v)
		}
	}
	c.AppendMissingEnv(&out.Patch, append(add, absent...)...)
}
