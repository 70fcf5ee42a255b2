#ifndef TESTS_TENSORFLOW_LITE_MICRO_SYSTEM_SETUP_H_
#define TESTS_TENSORFLOW_LITE_MICRO_SYSTEM_SETUP_H_

namespace tflite {

void InitializeTarget();

}  // namespace tflite

#endif  // TESTS_TENSORFLOW_LITE_MICRO_SYSTEM_SETUP_H_
