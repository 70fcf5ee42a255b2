// The root table of the schema, as far as the bundle reads it.

#ifndef TESTS_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_
#define TESTS_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_

#include <cstdint>
#include <cstring>

namespace tflite {

class Model {
 public:
  std::uint32_t version() const {
    const unsigned char* table = reinterpret_cast<const unsigned char*>(this);
    std::int32_t to_vtable;
    std::memcpy(&to_vtable, table, sizeof(to_vtable));
    std::uint16_t field;
    std::memcpy(&field, table - to_vtable + 4, sizeof(field));
    std::uint32_t version = 0;
    if (field != 0) std::memcpy(&version, table + field, sizeof(version));
    return version;
  }
};

inline const Model* GetModel(const void* buffer) {
  std::uint32_t root;
  std::memcpy(&root, buffer, sizeof(root));
  return reinterpret_cast<const Model*>(static_cast<const unsigned char*>(buffer) + root);
}

}  // namespace tflite

#endif  // TESTS_TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_
