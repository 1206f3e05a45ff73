package tokens

import (
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// add changes the pod, each part by itself: a container that came after an earlier pass gets the tokens
// too.
func (p *Profile) add(to *pod.Pod, tokens []token, skip profile.Names, out *profile.Answer) {
	name := p.cfg.VolumeName
	switch want := sources(tokens); {
	case !to.HasVolume(name):
		to.AppendVolume(&out.Patch, volume(name, want))
	case !gives(to.Tokens(name), want):
		// Somebody else's. A mount of it would be at the path of tokens, and have none.
		out.Note(p.cfg.InvalidValue, "volume %q is the pod's own and lacks the tokens asked for; it stays, and no tokens are given", name)
		return
	}
	out.Later(func() {
		skip.NoteUnknown(out, p.cfg.InvalidValue, annotationSkip, to)
		p.addToContainers(to, files{tokens, to.OnWindows()}, skip, out)
	})
}

// addToContainers changes those that are not to be left alone.
func (p *Profile) addToContainers(to *pod.Pod, files files, skip profile.Names, out *profile.Answer) {
	name := p.cfg.VolumeName
	mount := pod.Mount(corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: p.cfg.MountPath})
	variables := files.variables(p.cfg.MountPath)
	var taken []*pod.Container
	for c := range to.All() {
		if skip.Has(c) {
			continue
		}
		at, mounted := c.MountPath(name)
		if !mounted {
			if _, other := c.MountedAt(p.cfg.MountPath); other {
				taken = append(taken, c)
				continue
			}
			c.AppendMount(&out.Patch, mount)
		}
		if mounted && at != p.cfg.MountPath {
			c.AppendMissingEnv(&out.Patch, files.variables(at)...)
		} else {
			c.AppendMissingEnv(&out.Patch, variables...)
		}
	}
	p.reportTaken(taken, out)
}

// reportTaken reports containers that mount something else where the tokens go: kube-apiserver would
// refuse the second mount without saying where it came from. It is one report for all of them, since a pod
// may have any number.
func (p *Profile) reportTaken(taken []*pod.Container, out *profile.Answer) {
	if len(taken) == 0 {
		return
	}
	c := taken[0]
	other, _ := c.MountedAt(p.cfg.MountPath)
	p.refuse(out, "container %q mounts volume %q at %s, where tokens go: mount it elsewhere, or name the container in %s",
		c.Name(), other, p.cfg.MountPath, p.skip)
}

// sources are the tokens as a projected volume has them.
func sources(tokens []token) []corev1.ServiceAccountTokenProjection {
	all := make([]corev1.ServiceAccountTokenProjection, 0, len(tokens))
	for i := range tokens {
		t := &tokens[i]
		all = append(all, corev1.ServiceAccountTokenProjection{Audience: t.audience, ExpirationSeconds: &t.expiration, Path: t.path})
	}
	return all
}

func volume(name string, tokens []corev1.ServiceAccountTokenProjection) pod.Element {
	projected := &corev1.ProjectedVolumeSource{}
	for i := range tokens {
		projected.Sources = append(projected.Sources, corev1.VolumeProjection{ServiceAccountToken: &tokens[i]})
	}
	return pod.Volume(corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: projected}})
}

// gives tells whether all that is wanted is there. The rest of a volume does not matter: kube-apiserver
// sets its defaultMode between two passes, and whoever wrote the volume by hand may have added to it.
func gives(there, wanted []corev1.ServiceAccountTokenProjection) bool {
	for _, want := range wanted {
		same := func(t corev1.ServiceAccountTokenProjection) bool {
			return t.Audience == want.Audience && t.Path == want.Path &&
				t.ExpirationSeconds != nil && *t.ExpirationSeconds == *want.ExpirationSeconds
		}
		if !slices.ContainsFunc(there, same) {
			return false
		}
	}
	return true
}

// files are where programs find the tokens.
type files struct {
	tokens  []token
	windows bool
}

// variables are those that the tokens ask for, where they are mounted at a path.
func (f files) variables(mountPath string) (variables []pod.Element) {
	for _, t := range f.tokens {
		if t.env != "" {
			variables = append(variables, pod.Variable(t.env, f.path(mountPath, t.path)))
		}
	}
	return variables
}

// path is that of a file as programs need it; mounts have slashes everywhere.
func (f files) path(mountPath, file string) string {
	whole := path.Join(mountPath, file)
	if !f.windows {
		return whole
	}
	return pod.WindowsPath(whole)
}
