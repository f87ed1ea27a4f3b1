// Apache Kafka's own client against a broker: admin, idempotent producer, group consumer, offsets by time.
// Usage: java -cp 'LIBS/*' JavaClient.java BOOTSTRAP TOPIC; prints one line per step.

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

public class JavaClient {
    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0], topic = arguments[1];
        long start = System.currentTimeMillis(); // records of long ago would expire at once
        Map<String, Object> base = Map.of("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(base)) {
            NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
            admin.createTopics(List.of(wanted)).all().get();
            System.out.println("partitions " + admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            System.out.println("retention " + admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value());
        }
        Map<String, Object> producing = new HashMap<>(base);
        producing.put("compression.type", "lz4");
        producing.put("linger.ms", 5);
        try (Producer<String, String> producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < 3000; i++) {
                producer.send(new ProducerRecord<>(topic, i % 3, start + i, "key " + i, "value " + i));
            }
            producer.flush();
        }
        Map<String, Object> consuming = new HashMap<>(base);
        consuming.put("group.id", topic);
        consuming.put("auto.offset.reset", "earliest");
        consuming.put("enable.auto.commit", false);
        try (Consumer<String, String> consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            Set<String> values = new HashSet<>();
            long deadline = System.currentTimeMillis() + 30_000;
            while (values.size() < 3000 && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                    values.add(record.value());
                }
            }
            System.out.println("read " + values.size());
            TopicPartition first = new TopicPartition(topic, 0);
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(5, "held back")));
            OffsetAndMetadata committed = consumer.committed(Set.of(first)).get(first);
            System.out.println("committed " + committed.offset() + " " + committed.metadata());
            System.out.println("at time " + consumer.offsetsForTimes(Map.of(first, start + 300)).get(first).offset());
            System.out.println("end " + consumer.endOffsets(Set.of(first)).get(first));
        }
        try (Admin admin = Admin.create(base)) {
            System.out.println("group " + admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).groupState());
            admin.deleteRecords(Map.of(new TopicPartition(topic, 0), RecordsToDelete.beforeOffset(-1))).all().get();
            admin.deleteConsumerGroups(List.of(topic)).all().get();
            admin.deleteTopics(List.of(topic)).all().get();
            System.out.println("topics " + admin.listTopics().names().get().contains(topic));
        }
    }
}
