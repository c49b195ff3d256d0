<?php

// Answers the tests' questions, one JSON object a line: {"call": method of BlazzClient, "with": {named arguments}},
// or {"run": PHP code}. Each answer is one line, {"value": ...} or {"thrown": {...}}.

declare(strict_types=1);

use App\Services\Blazz\BlazzClient;
use App\Services\Blazz\Exceptions\BlazzException;
use App\Services\Blazz\WebhookSignature;

$app = require __DIR__ . '/bootstrap/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();

$answer = static function (array $question) use ($app): mixed {
    if (isset($question['run'])) {
        return eval($question['run']);
    }
    $client = $app->make(BlazzClient::class)->withTries($question['tries'] ?? 3);
    $value = $client->{$question['call']}(...$question['with'] ?? []);
    if ($value instanceof Illuminate\Support\LazyCollection) {
        return $value->all();
    }

    return is_string($value) && ! mb_check_encoding($value, 'UTF-8') ? ['base64' => base64_encode($value)] : $value;
};

echo "ready\n";
while (($line = fgets(STDIN)) !== false) {
    try {
        $said = ['value' => $answer(json_decode($line, true, 512, JSON_THROW_ON_ERROR))];
    } catch (Throwable $e) {
        $said = ['thrown' => ['class' => $e::class, 'parents' => array_values(class_parents($e)), 'text' => $e->getMessage()]];
        if ($e instanceof BlazzException) {
            $said['thrown'] += [
                'code' => $e->problemCode,
                'status' => $e->status,
                'outcome' => $e->outcome,
                'state' => $e->state(),
                'errors' => $e->errors(),
                'retry_after' => $e->retryAfter,
                'transient' => $e->isTransient(),
            ];
        }
    }
    echo json_encode($said, JSON_THROW_ON_ERROR), "\n";
}
