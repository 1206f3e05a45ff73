package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"

	"github.com/gatefold/gatefold/gateway/internal/codec"
)

const contentType = "application/json"

// marshaler lets grpc-gateway speak AdmissionReview and ImageReview instead of proto JSON.
type marshaler struct{ tracer trace.Tracer }

// body is a review that was read whole. It carries its context because grpc-gateway's decoders get none.
type body struct {
	ctx   context.Context //nolint:containedctx // see above
	data  []byte
	image bool // an ImageReview and no AdmissionReview
}

// Read has nothing to give: the marshaler takes data as it is.
func (*body) Read([]byte) (int, error) { return 0, io.EOF }

// Close has nothing to free.
func (*body) Close() error { return nil }

// reply is an answer with its context, for the same reason.
type reply struct {
	ctx      context.Context //nolint:containedctx // see body
	response proto.Message
}

func withContext(ctx context.Context, response proto.Message) (any, error) {
	return &reply{ctx: ctx, response: response}, nil
}

// ContentType is what every review has.
func (marshaler) ContentType(any) string { return contentType }

// Marshal writes an answer of the gate as the review that it was asked in, in the version that was asked.
func (m marshaler) Marshal(v any) ([]byte, error) {
	r, ok := v.(*reply)
	if !ok {
		return nil, fmt.Errorf("%T is no answer to a review", v)
	}
	_, span := m.tracer.Start(r.ctx, "encode")
	defer span.End()
	switch response := r.response.(type) {
	case *gatewayv1.MutateResponse:
		return encode(response.GetApiVersion(), response.GetReview())
	case *gatewayv1.ValidateResponse:
		return encode(response.GetApiVersion(), response.GetReview())
	default:
		return nil, fmt.Errorf("%T is no answer to a review", response)
	}
}

// NewDecoder reads a review of a *body into a request of the gate.
func (m marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		in, ok := r.(*body)
		if !ok {
			return fmt.Errorf("%T is no review", r)
		}
		_, span := m.tracer.Start(in.ctx, "decode")
		defer span.End()
		data := in.data
		in.data = nil // what was decoded is a copy, and the review may be large
		if in.image {
			return decodeImages(data, v)
		}
		return decode(data, v)
	})
}

// Unmarshal reads a review into a request of the gate.
func (marshaler) Unmarshal(data []byte, v any) error { return decode(data, v) }

// NewEncoder is for streams, of which the gate has none.
func (marshaler) NewEncoder(io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(any) error { return errors.New("the gate streams nothing") })
}

func encode(apiVersion string, review *gatewayv1.Review) ([]byte, error) {
	if apiVersion == codec.V1alpha1 {
		return codec.EncodeImageReview(review)
	}
	return codec.EncodeReview(apiVersion, review)
}

func decode(data []byte, into any) error {
	apiVersion, req, err := codec.DecodeReview(data)
	if err != nil {
		return err
	}
	return set(into, apiVersion, req)
}

// decodeImages gives the review an uid of its own. When the plugin asks again, that is another one.
func decodeImages(data []byte, into any) error {
	req, err := codec.DecodeImageReview(data, uuid.NewString())
	if err != nil {
		return err
	}
	return set(into, codec.V1alpha1, req)
}

func set(into any, apiVersion string, req *admissionv1.AdmissionRequest) error {
	switch in := into.(type) {
	case *gatewayv1.MutateRequest:
		in.ApiVersion, in.Request = apiVersion, req
	case *gatewayv1.ValidateRequest:
		in.ApiVersion, in.Request = apiVersion, req
	default:
		return fmt.Errorf("%T is no request of the gate", into)
	}
	return nil
}
