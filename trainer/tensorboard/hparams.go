package tensorboard

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

// Started returns the value that says that a training begins, with the settings that
// TensorBoard compares: numbers, strings and booleans. The outcomes that it compares
// them with are the last values of all scalars.
func Started(settings map[string]any) (Value, error) {
	values, err := structpb.NewStruct(settings)
	if err != nil {
		return Value{}, fmt.Errorf("hyperparameters: %w", err)
	}
	start := &eventpb.SessionStartInfo{Hparams: values.Fields, StartTimeSecs: seconds()}
	return hparams("session_start_info", &eventpb.HParamsPluginData{Data: &eventpb.HParamsPluginData_SessionStartInfo{SessionStartInfo: start}})
}

// Finished returns the value that says that a training has finished.
func Finished() (Value, error) {
	end := &eventpb.SessionEndInfo{Status: eventpb.Status_STATUS_SUCCESS, EndTimeSecs: seconds()}
	return hparams("session_end_info", &eventpb.HParamsPluginData{Data: &eventpb.HParamsPluginData_SessionEndInfo{SessionEndInfo: end}})
}

func seconds() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// hparams returns a value for TensorBoard's plugin hparams, which reads data from the
// metadata of an empty tensor.
func hparams(name string, data *eventpb.HParamsPluginData) (Value, error) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(data)
	if err != nil {
		return Value{}, err
	}
	empty := &eventpb.TensorProto{Dtype: eventpb.DataType_DT_FLOAT,
		TensorShape: &eventpb.TensorShapeProto{Dim: []*eventpb.TensorShapeProto_Dim{{Size: 0}}}}
	return Value{&eventpb.Summary_Value{Tag: "_hparams_/" + name,
		Metadata: &eventpb.SummaryMetadata{PluginData: &eventpb.SummaryMetadata_PluginData{PluginName: "hparams", Content: content}},
		Value:    &eventpb.Summary_Value_Tensor{Tensor: empty}}}, nil
}
