package kubernetes

// The parts of Kubernetes' API that a manifest has, under the API's names. (The official
// types would bring some twenty modules; make check-manifests compares with them.)

type manifest struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       jobSpec  `yaml:"spec"`
}

type metadata struct {
	Name   string            `yaml:"name,omitempty"`
	Labels map[string]string `yaml:"labels"`
}

type jobSpec struct {
	CompletionMode       string        `yaml:"completionMode"`
	Completions          int           `yaml:"completions"`
	Parallelism          int           `yaml:"parallelism"`
	BackoffLimitPerIndex int           `yaml:"backoffLimitPerIndex"`
	PodFailurePolicy     failurePolicy `yaml:"podFailurePolicy"`
	Template             podTemplate   `yaml:"template"`
}

type failurePolicy struct {
	Rules []failureRule `yaml:"rules"`
}

type failureRule struct {
	Action          string      `yaml:"action"`
	OnPodConditions []condition `yaml:"onPodConditions,omitempty"`
	OnExitCodes     *exitCodes  `yaml:"onExitCodes,omitempty"`
}

type condition struct {
	Type string `yaml:"type"`
}

type exitCodes struct {
	ContainerName string `yaml:"containerName"`
	Operator      string `yaml:"operator"`
	Values        []int  `yaml:"values"`
}

type podTemplate struct {
	Metadata metadata `yaml:"metadata"`
	Spec     podSpec  `yaml:"spec"`
}

type podSpec struct {
	RestartPolicy                 string          `yaml:"restartPolicy"`
	TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
	AutomountServiceAccountToken  bool            `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            bool            `yaml:"enableServiceLinks"`
	SecurityContext               podSecurity     `yaml:"securityContext"`
	Containers                    []containerSpec `yaml:"containers"`
	Volumes                       []volume        `yaml:"volumes"`
}

type podSecurity struct {
	RunAsNonRoot   bool    `yaml:"runAsNonRoot,omitempty"`
	RunAsUser      int     `yaml:"runAsUser,omitempty"`
	RunAsGroup     int     `yaml:"runAsGroup,omitempty"`
	FSGroup        int     `yaml:"fsGroup,omitempty"`
	SeccompProfile seccomp `yaml:"seccompProfile"`
}

type seccomp struct {
	Type string `yaml:"type"`
}

type containerSpec struct {
	Name            string            `yaml:"name"`
	Image           string            `yaml:"image"`
	Args            []string          `yaml:"args"`
	Resources       resources         `yaml:"resources"`
	SecurityContext containerSecurity `yaml:"securityContext"`
	VolumeMounts    []mount           `yaml:"volumeMounts"`
}

type resources struct {
	Requests map[string]string `yaml:"requests"`
	Limits   map[string]string `yaml:"limits"`
}

type containerSecurity struct {
	AllowPrivilegeEscalation bool         `yaml:"allowPrivilegeEscalation"`
	Capabilities             capabilities `yaml:"capabilities"`
}

type capabilities struct {
	Drop []string `yaml:"drop"`
}

type mount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
}

type volume struct {
	Name  string `yaml:"name"`
	Claim claim  `yaml:"persistentVolumeClaim"`
}

type claim struct {
	Name string `yaml:"claimName"`
}
