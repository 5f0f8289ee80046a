package tensorboard

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

// Session describes a training for the table of hyperparameters.
type Session struct {
	// TensorBoard lists the settings of a folder's first training, in their order: all
	// trainings should have the same.
	Settings []Setting
	Metrics  []Metric
}

// Setting is a hyperparameter. Its value is a number, a string or a boolean.
type Setting struct {
	Name  string
	Value any
}

// Metric is an outcome to compare: the last value of a scalar.
type Metric struct{ Tag, Title string }

// Start returns the values that describe a training that begins.
func (s Session) Start() ([]Value, error) {
	start := &eventpb.SessionStartInfo{Hparams: map[string]*structpb.Value{}, StartTimeSecs: seconds()}
	experiment := &eventpb.Experiment{}
	for _, h := range s.Settings {
		value, err := structpb.NewValue(h.Value)
		if err != nil {
			return nil, fmt.Errorf("hyperparameter %s: %w", h.Name, err)
		}
		start.Hparams[h.Name] = value
		experiment.HparamInfos = append(experiment.HparamInfos, &eventpb.HParamInfo{Name: h.Name, Type: typeOf(value)})
	}
	for _, m := range s.Metrics {
		experiment.MetricInfos = append(experiment.MetricInfos, &eventpb.MetricInfo{Name: &eventpb.MetricName{Tag: m.Tag}, DisplayName: m.Title})
	}
	info, err := hparams("experiment", &eventpb.HParamsPluginData{Data: &eventpb.HParamsPluginData_Experiment{Experiment: experiment}})
	if err != nil {
		return nil, err
	}
	session, err := hparams("session_start_info", &eventpb.HParamsPluginData{Data: &eventpb.HParamsPluginData_SessionStartInfo{SessionStartInfo: start}})
	return []Value{info, session}, err
}

// Finished returns the value that says that a training has finished.
func Finished() (Value, error) {
	end := &eventpb.SessionEndInfo{Status: eventpb.Status_STATUS_SUCCESS, EndTimeSecs: seconds()}
	return hparams("session_end_info", &eventpb.HParamsPluginData{Data: &eventpb.HParamsPluginData_SessionEndInfo{SessionEndInfo: end}})
}

func seconds() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// typeOf returns the type of a hyperparameter's value.
func typeOf(v *structpb.Value) eventpb.HParamInfo_Type {
	switch v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return eventpb.HParamInfo_DATA_TYPE_BOOL
	case *structpb.Value_NumberValue:
		return eventpb.HParamInfo_DATA_TYPE_FLOAT64
	case *structpb.Value_StringValue:
		return eventpb.HParamInfo_DATA_TYPE_STRING
	}
	return eventpb.HParamInfo_DATA_TYPE_UNSET
}

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
