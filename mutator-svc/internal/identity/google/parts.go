package google

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
)

// What the reference calls things. Images and manifests of its users name them, so none is configured.
const (
	tokenVolume       = "gcp-iam-token"
	tokenFolder       = "/var/run/secrets/sts.googleapis.com/serviceaccount"
	tokenFile         = "token"
	gcloudVolume      = "gcloud-config"
	gcloudFolder      = "/var/run/secrets/gcloud/config"
	credentialsVolume = "external-credential-config"
	credentialsFolder = "/var/run/secrets/workload-identity"
	credentialsFile   = "federation.json"
	setupContainer    = "gcloud-setup"
)

// login makes the file of the credentials, and has gcloud keep them. Kubelet puts the variables in.
const login = `gcloud iam workload-identity-pools create-cred-config \
  $(GCP_WORKLOAD_IDENTITY_PROVIDER) \
  --service-account=$(GCP_SERVICE_ACCOUNT) \
  --output-file=$(CLOUDSDK_CONFIG)/` + credentialsFile + ` \
  --credential-source-file=` + tokenFolder + `/` + tokenFile + `
gcloud auth login --cred-file=$(CLOUDSDK_CONFIG)/` + credentialsFile + `
`

// parts are what pods of one mode are given beside the token, whoever they are.
type parts struct {
	volume pod.Element
	mounts []pod.Element
	env    []pod.Element // in the place of what containers have
}

func gcloudParts() parts {
	var made parts
	made.volume = pod.Volume(corev1.Volume{Name: gcloudVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	for _, m := range gcloudMounts() {
		made.mounts = append(made.mounts, pod.Mount(m))
	}
	made.env = []pod.Element{
		pod.Variable("GOOGLE_APPLICATION_CREDENTIALS", gcloudFolder+"/"+credentialsFile),
		pod.Variable("CLOUDSDK_CONFIG", gcloudFolder),
	}
	return made
}

func gcloudMounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{tokenMount(), {Name: gcloudVolume, MountPath: gcloudFolder}}
}

// directParts has the credentials' configuration from the pod's annotation of this key.
func directParts(key string, fileMode int32) parts {
	return parts{
		volume: pod.Volume(corev1.Volume{Name: credentialsVolume, VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{
			Items: []corev1.DownwardAPIVolumeFile{{
				Path:     credentialsFile,
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + key + "']"},
			}},
			DefaultMode: &fileMode,
		}}}),
		mounts: []pod.Element{
			pod.Mount(tokenMount()),
			pod.Mount(corev1.VolumeMount{Name: credentialsVolume, ReadOnly: true, MountPath: credentialsFolder}),
		},
		env: []pod.Element{pod.Variable("GOOGLE_APPLICATION_CREDENTIALS", credentialsFolder+"/"+credentialsFile)},
	}
}

func tokenMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: tokenVolume, ReadOnly: true, MountPath: tokenFolder}
}

// token is the volume with the identity's token.
func (p *Profile) token(s *settings) corev1.Volume {
	return corev1.Volume{
		Name: tokenVolume,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience:          s.audience,
				ExpirationSeconds: &s.life.seconds,
				Path:              tokenFile,
			}}},
			DefaultMode: &p.fileMode,
		}},
	}
}

// setup is the init container that logs in.
func (p *Profile) setup(s *settings, project string) corev1.Container {
	made := corev1.Container{
		Name:    setupContainer,
		Image:   p.cfg.GcloudImage,
		Command: []string{"sh", "-c", login},
		Env: []corev1.EnvVar{
			{Name: "GCP_WORKLOAD_IDENTITY_PROVIDER", Value: s.provider},
			{Name: "GCP_SERVICE_ACCOUNT", Value: s.email},
			{Name: "CLOUDSDK_CONFIG", Value: gcloudFolder},
			{Name: "CLOUDSDK_CORE_PROJECT", Value: project},
		},
		VolumeMounts: gcloudMounts(),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			RunAsUser:                s.runAsUser,
		},
	}
	if p.cfg.SetupResources != nil {
		made.Resources = *p.cfg.SetupResources
	}
	return made
}

// credentials is what Google's libraries read as an external account.
type credentials struct {
	Type             string `json:"type"`
	Audience         string `json:"audience"`
	SubjectTokenType string `json:"subject_token_type"`
	TokenURL         string `json:"token_url"`
	ImpersonationURL string `json:"service_account_impersonation_url"`
	Source           struct {
		File   string `json:"file"`
		Format struct {
			Type string `json:"type"`
		} `json:"format"`
	} `json:"credential_source"`
}

// credentialsJSON is compact, with its members in the reference's order, and with & < > escaped as the
// reference has them.
func credentialsJSON(provider, email string) (string, error) {
	made := credentials{
		Type:             "external_account",
		Audience:         "//iam.googleapis.com/" + provider,
		SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:         "https://sts.googleapis.com/v1/token",
		ImpersonationURL: "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + email + ":generateAccessToken",
	}
	made.Source.File = tokenFolder + "/" + tokenFile
	made.Source.Format.Type = "text"
	text, err := json.Marshal(made)
	return string(text), err
}
