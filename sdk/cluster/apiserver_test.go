package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// apiserver serves ServiceAccounts as kube-apiserver does to a client that asks for protobuf: as a list,
// in pages where the client wants them and the watch cache would not answer, or as a watch that begins
// with what there is.
type apiserver struct {
	streams  bool // the watch begins with what there is; false: an apiserver before 1.34, which refuses that
	accounts []corev1.ServiceAccount
	protobuf runtime.SerializerInfo
	encoder  runtime.Encoder
	largest  atomic.Int64 // number of ServiceAccounts in one answer
	lists    atomic.Int64 // that were begun
	forgets  atomic.Bool  // the next watch from a revision is refused
}

const revision = "900001" // of everything, once it is there

// startApiserver starts an apiserver with count ServiceAccounts, ten to a namespace.
func startApiserver(tb testing.TB, count int, streams bool) (s *apiserver, url string) {
	tb.Helper()
	protobuf, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		tb.Fatal("client-go speaks no protobuf")
	}
	s = &apiserver{
		streams: streams, protobuf: protobuf,
		encoder: scheme.Codecs.EncoderForVersion(protobuf.Serializer, corev1.SchemeGroupVersion),
	}
	for i := range count {
		s.accounts = append(s.accounts, deployed(i))
	}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	return s, server.URL
}

// deployed is a ServiceAccount as a deployment tool leaves it, about 2 kB. Every fifth has an IAM role; one
// in each namespace is that which every namespace has.
func deployed(i int) corev1.ServiceAccount {
	team, app := fmt.Sprintf("team-%04d-production", i/10), fmt.Sprintf("checkout-service-%05d", i)
	if i%10 == 0 {
		app = "default"
	}
	created := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC))
	sa := corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: team, Name: app, UID: types.UID(fmt.Sprintf("0a51c3f8-6c52-4d5e-9d4e-%012d", i)),
			ResourceVersion: strconv.Itoa(100000 + i), CreationTimestamp: created,
			Labels: map[string]string{
				"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app + "-blue",
				"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "service-4.17.2", "team": team,
			},
			Annotations: map[string]string{"meta.helm.sh/release-name": app, "meta.helm.sh/release-namespace": team},
		},
		Secrets: []corev1.ObjectReference{{Name: app + "-token-x7k2p"}},
	}
	if i%5 == 1 {
		sa.Annotations["eks.amazonaws.com/role-arn"] = fmt.Sprintf("arn:aws:iam::123456789012:role/production/%s-%s", team, app)
	}
	applied, err := json.Marshal(sa)
	if err != nil {
		panic(err) // nothing in it that JSON cannot say
	}
	sa.Annotations[corev1.LastAppliedConfigAnnotation] = string(applied)
	managed := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &created,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	sa.ManagedFields = []metav1.ManagedFieldsEntry{
		managed("kubectl-client-side-apply", `{"f:metadata":{"f:annotations":{".":{},"f:eks.amazonaws.com/role-arn":{},`+
			`"f:kubectl.kubernetes.io/last-applied-configuration":{}},"f:labels":{".":{},"f:app.kubernetes.io/instance":{},`+
			`"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:helm.sh/chart":{},"f:team":{}}}}`),
		managed("kube-controller-manager", `{"f:secrets":{".":{},"k:{\"name\":\"`+app+`-token-x7k2p\"}":{}}}`),
	}
	return sa
}

// ServeHTTP implements http.Handler.
func (s *apiserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	initial := query.Get("sendInitialEvents") == "true"
	switch {
	case r.URL.Path != "/api/v1/serviceaccounts":
		http.NotFound(w, r)
	case query.Get("watch") == "":
		s.list(w, r)
	case initial && !s.streams:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case !initial && s.forgets.Swap(false):
		w.WriteHeader(http.StatusGone)
	default:
		s.watch(w, r, initial)
	}
}

func (s *apiserver) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	from, _ := strconv.Atoi(query.Get("continue"))
	if from == 0 {
		s.lists.Add(1)
	}
	to := len(s.accounts)
	list := corev1.ServiceAccountList{ListMeta: metav1.ListMeta{ResourceVersion: revision}}
	// Resource version 0 is answered by the watch cache, which knows no pages.
	if limit, _ := strconv.Atoi(query.Get("limit")); limit > 0 && from+limit < to && query.Get("resourceVersion") != "0" {
		to = from + limit
		list.Continue = strconv.Itoa(to)
	}
	list.Items = s.accounts[from:to]
	s.largest.Store(max(s.largest.Load(), int64(len(list.Items))))
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	_ = s.encoder.Encode(&list, w) // the client has gone
}

func (s *apiserver) watch(w http.ResponseWriter, r *http.Request, initial bool) {
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	frames := s.protobuf.StreamSerializer.NewFrameWriter(w)
	send := func(kind string, sa *corev1.ServiceAccount) bool {
		object, err := runtime.Encode(s.encoder, sa)
		if err != nil {
			return false
		}
		event, err := (&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: object}}).Marshal()
		if err != nil {
			return false
		}
		_, err = frames.Write(event)
		return err == nil
	}
	if initial {
		for i := range s.accounts {
			if !send("ADDED", &s.accounts[i]) {
				return
			}
		}
		send("BOOKMARK", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: revision, Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	<-r.Context().Done()
}
