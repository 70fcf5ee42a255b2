// What the bundle uses of TensorFlow Lite Micro's C types, laid out as there under TF_LITE_STATIC_MEMORY.

#ifndef TESTS_TENSORFLOW_LITE_C_COMMON_H_
#define TESTS_TENSORFLOW_LITE_C_COMMON_H_

#include <cstddef>
#include <cstdint>

typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteNoType = 0, kTfLiteInt8 = 9 } TfLiteType;

struct TfLiteIntArray {
  int size;
  int data[1];
};

struct TfLiteQuantizationParams {
  float scale;
  std::int32_t zero_point;
};

struct TfLiteTensor {
  struct {
    int type;
    void* params;
  } quantization;
  TfLiteQuantizationParams params;
  union {
    std::int8_t* int8;
    void* data;
  } data;
  TfLiteIntArray* dims;
  std::size_t bytes;
  TfLiteType type;
};

#endif  // TESTS_TENSORFLOW_LITE_C_COMMON_H_
