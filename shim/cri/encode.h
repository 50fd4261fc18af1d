// Encode: views of the lifecycle -> CRI messages. What the client sent comes back verbatim: labels, annotations,
// metadata, mounts (exactly the requested ones), namespace options. All strings are UTF-8: other bytes would make a
// client refuse a whole list. `info` of verbose answers is JSON text. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/config.h"
#include "runtime.pb.h"
#include "shim/lifecycle/runtime.h"

namespace podshim::cri {

namespace v1 = ::runtime::v1;

v1::PodSandboxState encode_state(SandboxState state);
v1::ContainerState encode_state(ContainerState state);

void encode_sandbox(const SandboxView& view, v1::PodSandbox* out);
void encode_sandbox_status(const SandboxView& view, v1::PodSandboxStatus* out);
std::string sandbox_info(const SandboxView& view);

void encode_container(const ContainerView& view, v1::Container* out);
void encode_container_status(const ContainerView& view, v1::ContainerStatus* out);
std::string container_info(const ContainerView& view);
void encode_resources(const Resources& resources, v1::LinuxContainerResources* out);

void encode_attributes(const ContainerView& view, v1::ContainerAttributes* out);
void encode_attributes(const SandboxView& view, v1::PodSandboxAttributes* out);
// All of a ContainerStats but its attributes. `image_filesystem` names the file system of the writable layer.
void encode_usage(const ContainerStats& stats, const std::string& image_filesystem, v1::ContainerStats* out);
// All of a PodSandboxStats but its attributes and containers.
void encode_usage(const SandboxStats& stats, v1::LinuxPodSandboxStats* out);

void encode_image(const Image& image, v1::Image* out);
std::string image_info(const Image& image);

// The pieces of an ExecSync answer are cut so that the message stays below what clients receive (16 MiB).
void encode_exec(const ExecResult& result, v1::ExecSyncResponse* out);

void encode_condition(const char* type, const Condition& condition, v1::RuntimeCondition* out);

// `text` with what is not UTF-8 replaced by U+FFFD.
std::string utf8(std::string_view text);

}  // namespace podshim::cri
