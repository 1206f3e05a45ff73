package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/durationpb"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/telemetry"

	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/observe"
	"github.com/gatefold/gatefold/gateway/internal/outcome"
	"github.com/gatefold/gatefold/gateway/internal/pipeline"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Gate decides reviews. It is the gRPC API that the HTTPS face calls, and safe for concurrent use.
type Gate struct {
	gatewayv1.UnsafeGateServiceServer

	cfg        *Config // as the gate was started
	cluster    *cluster.Cluster
	telemetry  *telemetry.Telemetry
	recorder   *observe.Recorder
	pipeline   *pipeline.Pipeline
	shadows    *pipeline.Shadows
	builder    *builder
	plan       atomic.Pointer[pipeline.Plan]
	onDecision func(context.Context, *admissionv1.AdmissionRequest, *gatewayv1.Decision)
}

var _ gatewayv1.GateServiceServer = (*Gate)(nil)

// New returns a gate that is not served anywhere. The caller runs the cluster it gave, and closes the gate.
func New(_ context.Context, opts Options) (*Gate, error) {
	cfg := opts.Config
	if cfg == nil {
		var err error
		if cfg, err = LoadConfig(opts.ConfigFile); err != nil {
			return nil, err
		}
	}
	tel := opts.Telemetry
	if tel == nil {
		tel = telemetry.Discard()
	}
	state := opts.Cluster
	if state == nil {
		var err error
		state, err = opts.Source.Open(cluster.Options{Watch: []cluster.Resource{cluster.Namespaces}, Logger: tel.Logger})
		if err != nil {
			return nil, fmt.Errorf("opening the cluster: %w", err)
		}
	}
	recorder, err := observe.New(tel.MeterProvider, tel.Logger)
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	g := &Gate{
		cfg:        cfg,
		cluster:    state,
		telemetry:  tel,
		recorder:   recorder,
		builder:    newBuilder(opts, tel, state, recorder),
		onDecision: opts.OnDecision,
	}
	g.pipeline = &pipeline.Pipeline{
		Tracer:   tel.TracerProvider.Tracer("github.com/gatefold/gatefold/gateway"),
		Observer: recorder,
	}
	g.shadows = pipeline.NewShadows(g.pipeline, shadowObserver{recorder, opts.OnShadow})
	if err := g.apply(cfg); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// apply makes cfg the configuration from the next review on.
func (g *Gate) apply(cfg *Config) error {
	plan, err := g.builder.build(cfg)
	if err != nil {
		return err
	}
	g.plan.Store(plan)
	return nil
}

// WaitShadows returns when the shadows of all reviews that were answered before have said what they would have
// done, or ctx is done.
func (g *Gate) WaitShadows(ctx context.Context) { g.shadows.Wait(ctx) }

// shadowObserver records what shadows would have done, and tells of it who asked to be told.
type shadowObserver struct {
	*observe.Recorder

	onShadow func(context.Context, *admissionv1.AdmissionRequest, *gatewayv1.Step)
}

// Shadow implements pipeline.ShadowObserver.
func (o shadowObserver) Shadow(ctx context.Context, req *admissionv1.AdmissionRequest, part *fold.Part, live bool) {
	o.Recorder.Shadow(ctx, part, live)
	if o.onShadow != nil {
		o.onShadow(ctx, req, part.Step())
	}
}

// Close ends what shadows are still asked, and the connections to the backends.
func (g *Gate) Close() error {
	g.shadows.Close()
	return g.builder.clients.close()
}

// Mutate asks the mutators. A failure of a required backend is a gRPC status and never a refusal.
func (g *Gate) Mutate(ctx context.Context, in *gatewayv1.MutateRequest) (*gatewayv1.MutateResponse, error) {
	review, decision, err := g.decide(ctx, mutating, in.GetRequest(), g.pipeline.Mutate)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.MutateResponse{ApiVersion: in.GetApiVersion(), Review: review, Decision: decision}, nil
}

// Validate asks the validators. A failure of a required backend is a gRPC status and never a refusal.
func (g *Gate) Validate(ctx context.Context, in *gatewayv1.ValidateRequest) (*gatewayv1.ValidateResponse, error) {
	review, decision, err := g.decide(ctx, validating, in.GetRequest(), g.pipeline.Validate)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ValidateResponse{ApiVersion: in.GetApiVersion(), Review: review, Decision: decision}, nil
}

// The phases, as metrics, logs and traces write them.
const (
	mutating   = "mutate"
	validating = "validate"
)

type runner func(context.Context, *pipeline.Plan, *admissionv1.AdmissionRequest, route.Namespaces) *pipeline.Record

// decide runs one phase and joins its parts. A panic in the gate's own code is that review's failure.
func (g *Gate) decide(ctx context.Context, phase string, req *admissionv1.AdmissionRequest, run runner) (review *gatewayv1.Review, decision *gatewayv1.Decision, err error) {
	if req.GetUid() == "" {
		return nil, nil, outcome.New(outcome.BadReview, errors.New("the request is absent or has no uid"))
	}
	end := func(string, string) {}
	if !route.IsSelfTest(req) { // of which there is one for each probe
		end = g.recorder.Begin(ctx, phase, req)
	}
	verdict, message := observe.Failed, ""
	defer func() { end(verdict, message) }()
	defer func() {
		if r := recover(); r != nil {
			err = outcome.New(outcome.Internal, fmt.Errorf("deciding panicked: %v", r))
			message = err.Error()
		}
	}()

	start := time.Now()
	namespace := &lookup{cluster: g.cluster}
	if req.GetNamespaceObject() == nil {
		req.NamespaceObject = namespace.describe(ctx, req)
	}
	plan := g.plan.Load()
	record := run(ctx, plan, req, namespace)
	review, err = fold.Join(req.GetUid(), record.Parts)
	switch {
	case err != nil:
		message = err.Error()
	case review.GetAllowed():
		verdict = observe.Allowed
	default:
		verdict, message = observe.Denied, review.GetStatus().GetMessage()
	}
	span := trace.SpanFromContext(ctx)
	describe(span, phase, req, verdict, message)
	decision = tell(span, record, time.Since(start))
	if record.Rounds > 0 {
		g.recorder.Rounds(ctx, record.Rounds)
	}
	if err == nil && !route.IsSelfTest(req) {
		shadows := plan.ShadowMutators
		if phase == validating {
			shadows = plan.ShadowValidators
		}
		g.shadows.Ask(ctx, shadows, req, record, review.GetAllowed(), namespace)
	}
	if g.onDecision != nil {
		g.onDecision(ctx, req, decision)
	}
	return review, decision, err
}

// describe puts the decision on the span of the review.
func describe(span trace.Span, phase string, req *admissionv1.AdmissionRequest, verdict, message string) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(observe.Attributes(req)...)
	span.SetAttributes(attribute.String("gatefold.phase", phase), attribute.String("gatefold.verdict", verdict))
	switch verdict {
	case observe.Denied:
		span.SetAttributes(attribute.String("gatefold.message", message))
	case observe.Failed:
		span.SetStatus(codes.Error, message)
	}
}

// tell returns the record of a review as the gate's API tells it.
func tell(span trace.Span, record *pipeline.Record, took time.Duration) *gatewayv1.Decision {
	decision := &gatewayv1.Decision{
		Steps: make([]*gatewayv1.Step, len(record.Parts)), Duration: durationpb.New(took), Rounds: int32(min(record.Rounds, math.MaxInt32)),
	}
	if changes := fold.Changes(record.Parts); changes != "" {
		span.SetAttributes(attribute.String("gatefold.changes", changes), attribute.Int("gatefold.rounds", record.Rounds))
	}
	if id := span.SpanContext(); id.IsSampled() {
		decision.TraceId = id.TraceID().String()
	}
	for i, part := range record.Parts {
		decision.Steps[i] = part.Step()
	}
	return decision
}
