// The op resolver's interface, and as many of its Add methods as tests/…/test_compile.py needs.
//
// The virtual functions stand in the order of the interpreter's library, and so do the members of TFLMRegistration.

#ifndef TESTS_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
#define TESTS_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/c/common.h"

struct TfLiteContext;
struct TfLiteNode;

namespace tflite {

enum BuiltinOperator : std::int32_t {
  BuiltinOperator_AVERAGE_POOL_2D = 1,
  BuiltinOperator_CONV_2D = 3,
  BuiltinOperator_DEPTHWISE_CONV_2D = 4,
  BuiltinOperator_FULLY_CONNECTED = 9,
  BuiltinOperator_RESHAPE = 22,
  BuiltinOperator_SOFTMAX = 25,
};

struct Operator;

inline namespace micro {

class BuiltinDataAllocator;
using BuiltinParser = TfLiteStatus (*)(const Operator*, BuiltinDataAllocator*, void**);

struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char*, std::size_t);
  void (*free)(TfLiteContext*, void*);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void*);
  std::int32_t builtin_code;
  const char* custom_name;
};

class MicroOpResolver {
 public:
  virtual const TFLMRegistration* FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration* FindOp(const char* op) const = 0;
  virtual BuiltinParser GetOpDataParser(BuiltinOperator op) const = 0;

 protected:
  ~MicroOpResolver() = default;
};

#define TESTS_DECLARE_OP(kernel, parser) \
  TFLMRegistration Register_##kernel();  \
  TfLiteStatus parser(const Operator*, BuiltinDataAllocator*, void**)

TESTS_DECLARE_OP(AVERAGE_POOL_2D, ParsePool);
TESTS_DECLARE_OP(CONV_2D, ParseConv2D);
TESTS_DECLARE_OP(DEPTHWISE_CONV_2D, ParseDepthwiseConv2D);
TESTS_DECLARE_OP(FULLY_CONNECTED, ParseFullyConnected);
TESTS_DECLARE_OP(RESHAPE, ParseReshape);
TESTS_DECLARE_OP(SOFTMAX, ParseSoftmax);

template <unsigned int tOpCount>
class MicroMutableOpResolver final : public MicroOpResolver {
 public:
  const TFLMRegistration* FindOp(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return &registrations_[i];
    }
    return nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return nullptr; }
  BuiltinParser GetOpDataParser(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return parsers_[i];
    }
    return nullptr;
  }

#define TESTS_DEFINE_ADD(method, kernel, parser) \
  TfLiteStatus method() { return AddBuiltin(BuiltinOperator_##kernel, Register_##kernel(), parser); }

  TESTS_DEFINE_ADD(AddAveragePool2D, AVERAGE_POOL_2D, ParsePool)
  TESTS_DEFINE_ADD(AddConv2D, CONV_2D, ParseConv2D)
  TESTS_DEFINE_ADD(AddDepthwiseConv2D, DEPTHWISE_CONV_2D, ParseDepthwiseConv2D)
  TESTS_DEFINE_ADD(AddFullyConnected, FULLY_CONNECTED, ParseFullyConnected)
  TESTS_DEFINE_ADD(AddReshape, RESHAPE, ParseReshape)
  TESTS_DEFINE_ADD(AddSoftmax, SOFTMAX, ParseSoftmax)

 private:
  TfLiteStatus AddBuiltin(BuiltinOperator op, const TFLMRegistration& registration, BuiltinParser parser) {
    if (count_ >= tOpCount || FindOp(op) != nullptr) return kTfLiteError;
    registrations_[count_] = registration;
    registrations_[count_].builtin_code = op;
    parsers_[count_] = parser;
    ++count_;
    return kTfLiteOk;
  }

  TFLMRegistration registrations_[tOpCount];
  BuiltinParser parsers_[tOpCount];
  unsigned int count_ = 0;
};

}  // namespace micro
}  // namespace tflite

#endif  // TESTS_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
