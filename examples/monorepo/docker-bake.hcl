# The images of this repository. Two chains: base, runtime, api; and base, web. docs stands alone.
variable "BASE_IMAGE" {
  default = "debian:bookworm-slim"
}

group "default" {
  targets = ["base", "runtime", "api", "web", "docs"]
}

target "base" {
  context = "base"
  args    = { BASE = BASE_IMAGE }
}

target "runtime" {
  context  = "runtime"
  contexts = { base = "target:base" }
}

target "api" {
  context  = "api"
  contexts = { runtime = "target:runtime" }
}

target "web" {
  context  = "web"
  contexts = { base = "target:base" }
}

target "docs" {
  context = "docs"
  args    = { BASE = BASE_IMAGE }
}
