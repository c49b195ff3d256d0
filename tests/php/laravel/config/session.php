<?php

return [
    'driver' => 'array',
    'lifetime' => 5,
    'expire_on_close' => false,
    'lottery' => [0, 100],
    'cookie' => 'tests',
    'path' => '/',
    'domain' => null,
    'secure' => false,
    'http_only' => true,
    'same_site' => 'lax',
];
