// The interpreter's interface, over the functions that its library exports.

#ifndef TESTS_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_
#define TESTS_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {
inline namespace micro {

class MicroProfilerInterface;
class MicroResourceVariables;

class MicroAllocator {
 public:
  std::size_t used_bytes() const;
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, std::uint8_t* tensor_arena,
                   std::size_t tensor_arena_size, MicroResourceVariables* resource_variables = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
  ~MicroInterpreter();

  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(std::size_t index);
  TfLiteTensor* output(std::size_t index);
  std::size_t arena_used_bytes() const { return allocator_->used_bytes(); }

 private:
  const Model* model_;
  const MicroOpResolver* op_resolver_;
  void* context_;
  MicroAllocator* allocator_;
  alignas(16) unsigned char rest_[4096];  // the library's constructor fills some of it
};

}  // namespace micro
}  // namespace tflite

#endif  // TESTS_TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_
