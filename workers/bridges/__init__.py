"""What lets phones in that do not speak Kafka: JSON over HTTP or MQTT becomes `ImuChunk`s on `gait.imu.raw`.

payload        bytes of a push -> chunks, or a reason
plain          the project's own JSON form
sensor_logger  the JSON form of the Sensor Logger app (HTTP push and MQTT publish)
align          sensors with times of their own, brought together
publisher      bounded, idempotent publishing
http, mqtt     the two doors
run            either of them as a process
"""
