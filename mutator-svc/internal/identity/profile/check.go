package profile

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The shortest and the longest life of a token, in seconds, that kube-apiserver accepts
// (validateProjectionSources in pkg/apis/core/validation).
const (
	MinExpiration = 600
	MaxExpiration = 1 << 32
)

// SetDefault sets a field that was left out.
func SetDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// CheckPrefix refuses a prefix of annotations that cannot be one.
func CheckPrefix(prefix string, at *field.Path) field.ErrorList {
	problems := validation.IsDNS1123Subdomain(prefix)
	if len(problems) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, prefix, "write the domain before the annotations' slash, such as identity.example.com: "+strings.Join(problems, "; "))}
}

// CheckMountPath refuses what would fail every pod, or hide its files: kube-apiserver accepts no ":" in a
// mountPath, and kubelet expands $(NAME) in the variables that lead there.
func CheckMountPath(mountPath string, at *field.Path) field.ErrorList {
	const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount" // where kube-apiserver mounts its own
	switch clean := path.Clean(mountPath); {
	case !path.IsAbs(mountPath) || strings.ContainsAny(mountPath, ":$") || clean == "/":
		return field.ErrorList{field.Invalid(at, mountPath, "write the absolute path of a folder, without a colon or a dollar; it is converted for Windows pods")}
	case clean == serviceAccount:
		return field.ErrorList{field.Invalid(at, mountPath, "write another folder; this one has the token for kube-apiserver")}
	}
	return nil
}

// CheckImage refuses an image that kube-apiserver would refuse in every pod.
func CheckImage(image string, at *field.Path) field.ErrorList {
	if strings.TrimSpace(image) == image {
		return nil
	}
	return field.ErrorList{field.Invalid(at, image, "write the image without blanks around it")}
}

// CheckExpiration refuses a life, in seconds, that kube-apiserver would refuse for being too long.
func CheckExpiration(seconds int64, at *field.Path) field.ErrorList {
	if seconds <= MaxExpiration {
		return nil
	}
	return field.ErrorList{field.Invalid(at, seconds, "write at most 4294967296 (2^32); kube-apiserver refuses more")}
}
