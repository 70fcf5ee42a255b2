"""Device presets: what a board, or a published budget, has for the model.

A chip's flash and RAM are not all the model's. Half of each is left to the firmware: code, TFLite Micro's kernels,
stacks, the camera's frame buffer, a radio's memory. That is an assumption, not a measurement; where the firmware is
known, state what remains as `max_flatbuffer_bytes` and `max_arena_bytes`, which override the preset.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

KIB: Final = 1024
FIRMWARE_SHARE: Final = 0.5  # of flash and of RAM alike

# What examples/person_detection/main_functions.cc of tflite-micro registers, and with what arena.
_EXAMPLE_OPS: Final = ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "SOFTMAX")
_EXAMPLE_ARENA_BYTES: Final = 136 * KIB


@dataclass(frozen=True)
class Device:
    """What a device has for the model; None asks nothing.

    Attributes:
      name: as in `gates.int8.device`.
      title: the board and its chip.
      max_flatbuffer_bytes: flash for the model.
      max_arena_bytes: RAM for the tensor arena.
      max_macs: multiply-accumulates of one inference.
      allowed_ops: the operators that the firmware registers.
      source: where the figures stand, and what was assumed.
    """

    name: str
    title: str
    max_flatbuffer_bytes: int
    max_arena_bytes: int
    max_macs: int | None
    allowed_ops: tuple[str, ...] | None
    source: str


def _board(name: str, title: str, *, flash_bytes: int, ram_bytes: int, source: str) -> Device:
    return Device(
        name=name,
        title=title,
        max_flatbuffer_bytes=int(flash_bytes * (1 - FIRMWARE_SHARE)),
        max_arena_bytes=int(ram_bytes * (1 - FIRMWARE_SHARE)),
        max_macs=None,
        allowed_ops=None,
        source=f"{source}; half of both left to the firmware",
    )


DEVICES: Final = MappingProxyType(
    {
        device.name: device
        for device in (
            Device(
                name="vww_250kb",
                title="the Visual Wake Words challenge",
                max_flatbuffer_bytes=250_000,
                max_arena_bytes=250_000,
                max_macs=60_000_000,
                allowed_ops=None,
                source="arXiv 1906.05721: 250 KB of flash and of RAM for the model, 60 million multiply-adds",
            ),
            Device(
                name="tflm_person_detection",
                title="TFLite Micro's person_detection example, its firmware unchanged",
                max_flatbuffer_bytes=300_568,
                max_arena_bytes=_EXAMPLE_ARENA_BYTES,
                max_macs=None,
                allowed_ops=_EXAMPLE_OPS,
                source=(
                    "tflite-micro examples/person_detection/main_functions.cc: kTensorArenaSize and op resolver;"
                    " flash of the person_detect.tflite that it replaces"
                ),
            ),
            _board(
                "arduino_nano_33_ble",
                "Arduino Nano 33 BLE Sense, nRF52840, Cortex-M4F",
                flash_bytes=1024 * KIB,
                ram_bytes=256 * KIB,
                source="Nordic nRF52840 Product Specification: 1 MB flash, 256 kB RAM",
            ),
            _board(
                "sparkfun_edge",
                "SparkFun Edge, Ambiq Apollo3 Blue, Cortex-M4F",
                flash_bytes=1024 * KIB,
                ram_bytes=384 * KIB,
                source="Ambiq Apollo3 Blue datasheet: 1 MB flash, 384 KB SRAM",
            ),
            _board(
                "stm32f746_disco",
                "STM32F746G-DISCO, STM32F746NG, Cortex-M7",
                flash_bytes=1024 * KIB,
                ram_bytes=320 * KIB,
                source="ST datasheet DS10916: 1 MB flash, 320 KB system SRAM, tightly coupled data RAM included",
            ),
            _board(
                "nucleo_l4r5zi",
                "NUCLEO-L4R5ZI, STM32L4R5ZI, Cortex-M4F; MLPerf Tiny's reference board",
                flash_bytes=2048 * KIB,
                ram_bytes=640 * KIB,
                source="ST datasheet DS12023: 2 MB flash, 640 KB SRAM",
            ),
            _board(
                "esp32_s3",
                "ESP32-S3, Xtensa LX7",
                flash_bytes=1024 * KIB,
                ram_bytes=512 * KIB,
                source="Espressif ESP32-S3 datasheet: 512 KB SRAM; ESP-IDF's default app partition of 1 MB as flash",
            ),
            _board(
                "rp2040_pico",
                "Raspberry Pi Pico, RP2040, Cortex-M0+",
                flash_bytes=2048 * KIB,
                ram_bytes=264 * KIB,
                source="Raspberry Pi Pico datasheet: 2 MB flash, 264 kB SRAM",
            ),
        )
    }
)
