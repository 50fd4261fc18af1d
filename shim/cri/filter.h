// Filters of the List calls. All that a filter sets must hold; an absent message or an empty field matches everything.
// An id may be given by its beginning. label_selector: each pair must be there exactly. Pure; any thread.
#pragma once

#include "runtime.pb.h"
#include "shim/lifecycle/runtime.h"

namespace podshim::cri {

namespace v1 = ::runtime::v1;

bool matches(const v1::PodSandboxFilter& filter, const SandboxView& view);
bool matches(const v1::PodSandboxStatsFilter& filter, const SandboxView& view);
bool matches(const v1::ContainerFilter& filter, const ContainerView& view);
bool matches(const v1::ContainerStatsFilter& filter, const ContainerView& view);

}  // namespace podshim::cri
